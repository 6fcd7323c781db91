//! Training on a model of a few thousand weights.

use std::path::Path;

use mimo_vl_core::expert::{Checkpoint, Kernels, PreprocessConfig, Tokenizer, WithBackend, dispatch};
use mimo_vl_core::train::{
    Batch, Dataset, Example, ExpandedSource, NumberTarget, RandomSource, Schedule, TrainOptions, Trainer,
};
use mimo_vl_core::{
    CancelToken, Error, GenerateOptions, Image, LoadOptions, Model, ModelConfig, Prompt, Result, Thinking, WeightFormat,
};
use mimo_vl_examples::shapes::{
    Dimensions, KINDS, PLACES, Recipe, ShapesDataset, Stage, build_tokenizer, write_checkpoint_files,
};

fn small_checkpoint() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let dimensions = Dimensions {
        hidden_size: 32,
        intermediate_size: 48,
        layers: 2,
        heads: 2,
        kv_heads: 1,
        rope_theta: 10_000.0,
        mrope_section: [2, 3, 3],
        tie_word_embeddings: false,
        context: 512,
        vision_depth: 2,
        vision_hidden_size: 32,
        vision_intermediate_size: 48,
        vision_heads: 2,
        full_attention: vec![1],
    };
    write_checkpoint_files(folder.path(), &dimensions, &build_tokenizer().unwrap()).unwrap();
    folder
}

fn dataset(folder: &Path) -> ShapesDataset {
    ShapesDataset {
        seed: 9,
        stages: vec![Stage { batches: 1, recipe: Recipe::default() }],
        batch_size: 2,
        tokenizer: Tokenizer::load(folder).unwrap(),
        config: ModelConfig::load(folder).unwrap(),
        preprocess: PreprocessConfig::load(folder).unwrap(),
    }
}

/// Train up to step `until`, as one of possibly several runs over the same state, and write the weights.
struct Run<'a, D> {
    folder: &'a Path,
    state: &'a Path,
    out: &'a Path,
    dataset: &'a D,
    workers: usize,
    until: u64,
    rate: f64,
}

impl<D: Dataset> WithBackend for Run<'_, D> {
    type Output = Vec<f64>;

    fn run<B: Kernels>(self, device: B::Device) -> Result<Vec<f64>> {
        let config = ModelConfig::load(self.folder)?;
        let source = RandomSource { seed: 3, embedding_std: 0.2, depth: 2, device: device.clone() };
        let options = TrainOptions {
            schedule: Schedule { peak: self.rate, last: 1e-4, warmup: 1, steps: 6 },
            batches_per_step: 2,
            workers: self.workers,
            patch_classes: KINDS,
            number_classes: PLACES,
            betas: [0.9, 0.98],
            weight_decay: 0.01,
            clip: 1.0,
            run: "test".into(),
            state: self.state.to_path_buf(),
            save_every: 100,
        };
        let mut trainer = Trainer::<B>::new(&source, &config, options, PreprocessConfig::load(self.folder)?, device)?;
        let (cancel, mut losses) = (CancelToken::new(), Vec::new());
        let stop = cancel.clone();
        let result = trainer.run(self.dataset, &cancel, |report| {
            losses.push(report.loss);
            if report.step == self.until {
                stop.cancel();
            }
        });
        result.or_else(|error| if matches!(error, Error::Cancelled) { Ok(()) } else { Err(error) })?;
        trainer.save_weights(self.out)?;
        Ok(losses)
    }
}

#[test]
fn an_interrupted_run_ends_with_the_same_weights() {
    let folder = small_checkpoint();
    let dataset = dataset(folder.path());
    let weights = |stops: &[u64], workers: usize| {
        let (state, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut losses = Vec::new();
        for &until in stops {
            let run = Run {
                folder: folder.path(),
                state: state.path(),
                out: out.path(),
                dataset: &dataset,
                workers,
                until,
                rate: 1e-2,
            };
            losses.extend(dispatch("cpu", run).unwrap());
        }
        assert_eq!(losses.len(), 6);
        (losses, std::fs::read(out.path().join("model.safetensors")).unwrap())
    };
    let whole = weights(&[6], 2);
    assert_eq!(whole, weights(&[2, 3, 6], 2), "resumed");
    let one = weights(&[6], 1);
    for (a, b) in whole.0.iter().zip(&one.0) {
        assert!((a - b).abs() < 1e-4, "workers change only rounding: {a} {b}");
    }
    assert!(whole.0[5] < whole.0[0], "the loss falls: {:?}", whole.0);
}

#[test]
fn the_state_of_other_options_is_refused() {
    let folder = small_checkpoint();
    let dataset = dataset(folder.path());
    let (state, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = |rate| Run {
        folder: folder.path(),
        state: state.path(),
        out: out.path(),
        dataset: &dataset,
        workers: 1,
        until: 1,
        rate,
    };
    dispatch("cpu", run(1e-3)).unwrap();
    let error = dispatch("cpu", run(2e-3)).unwrap_err();
    assert!(matches!(error, Error::Checkpoint { .. }) && error.to_string().contains("another run"), "{error}");
}

#[test]
fn only_the_assistants_words_are_learned() {
    let folder = small_checkpoint();
    let dataset = dataset(folder.path());
    let token = |text: &str| dataset.tokenizer.token_id(text).unwrap();
    let opening = dataset.tokenizer.encode("<|im_start|>assistant\n").unwrap();
    for index in 0..8 {
        let batch = dataset.batch(index).unwrap();
        let learned: Vec<usize> = batch.targets.iter().map(|target| target.row as usize + 1).collect();
        assert!(learned.len() >= 2 * batch.size, "every example has an answer and its end");
        for (target, &place) in batch.targets.iter().zip(&learned) {
            let id = target.token;
            assert!(batch.ids[place] == id && target.weight > 0.0);
            let first = !learned.contains(&(place - 1));
            assert!(!first || batch.ids[..place].ends_with(&opening), "batch {index}: a reply starts after its role");
            let last = !learned.contains(&(place + 1));
            assert_eq!(last, id == token("<|im_end|>"), "batch {index}: a reply ends with its end token");
        }
    }
}

#[test]
fn what_is_asked_for_is_heard_and_found_between_the_question_and_the_place() {
    let folder = small_checkpoint();
    let mut dataset = dataset(folder.path());
    let opening = dataset.tokenizer.encode("<|im_start|>assistant\n").unwrap();
    let cases =
        [([0, 1, 0, 0, 0], [0, 21, 21, 84]), ([0, 0, 0, 1, 0], [21, 21, 0, 0]), ([0, 0, 0, 0, 1], [11, 0, 0, 0])];
    for (skills, least) in cases {
        dataset.stages[0].recipe = Recipe { skills, ..Recipe::default() };
        let (mut heard, mut places, mut more, mut labels, mut weighed) = (0, 0, 0, 0, [0; 2]);
        for index in 0..12 {
            let batch = dataset.batch(index).unwrap();
            let media: Vec<_> = batch.slots.iter().flat_map(|slot| slot.start..slot.start + slot.len).collect();
            let shown = |row: u32| media.contains(&(row as usize));
            for target in &batch.early {
                assert_eq!(target.weight == 1.0, shown(target.row), "what a picture shows counts whole");
            }
            let spelled = |id: u32| dataset.tokenizer.decode(&[id]);
            let at =
                |rows: &[NumberTarget], row: u32| rows.iter().find(|found| found.row == row).map(|found| found.numbers);
            let (found, known) = (|row| at(&batch.found, row), |row| at(&batch.known, row));
            let (mut last, mut weight) = (None, 0.0);
            // Before every click and direction that is learned, all rows from the end of what was typed on are to know what is
            // asked for, and where it is.
            let knows =
                |row: usize| batch.early.iter().any(|target| target.row as usize == row) && found(row as u32).is_some();
            for reply in (opening.len()..batch.ids.len()).filter(|&row| batch.ids[..row].ends_with(&opening)) {
                let learned = batch.targets.iter().any(|target| target.row as usize == reply - 1);
                if learned && skills[1] == 0 {
                    assert!((reply - opening.len() - 3..reply).all(knows), "batch {index}: {reply}");
                    heard += 1;
                }
            }
            for &NumberTarget { row, numbers } in &batch.found {
                assert!(!shown(row) && numbers.iter().all(|&number| (number as usize) < PLACES));
            }
            for target in &batch.targets {
                let said = spelled(target.token);
                // The last of the rows is that which is to say the first number.
                let [key, opening] = [1, 0].map(|back| spelled(batch.ids[target.row as usize - back]));
                if key.ends_with("\":") && opening.ends_with('[') {
                    let row = target.row as usize;
                    let end = batch.ids.len().min(row + 12);
                    let spoken = dataset.tokenizer.decode(&batch.ids[row + 1..end]);
                    let numbers = found(target.row).unwrap().map(|number| (7 * number).to_string());
                    let numbers = if skills[1] > 0 { &numbers[..] } else { &numbers[..2] };
                    assert!(spoken.starts_with(&format!("{}]", numbers.join(", "))), "{spoken} {numbers:?}");
                    assert_eq!(found(target.row + 1), None);
                    last = found(target.row);
                    places += 1;
                }
                // The rows that say a label know which box it is of.
                if let Some(numbers) = known(target.row) {
                    assert!(Some(numbers) == last && said.parse::<u32>().is_err(), "batch {index}: {said}");
                    labels += 1;
                }
                // A label counts more than what stands before and behind it.
                let starts = dataset.tokenizer.decode(&batch.ids[target.row as usize - 2..=target.row as usize]);
                let [starts, ends] = [starts.ends_with("label\": \""), said.starts_with("\"}")];
                if starts || ends {
                    let [more, less] = if starts { [target.weight, weight] } else { [weight, target.weight] };
                    assert_eq!(more, 4.0 * less, "batch {index}: {said}");
                }
                weighed[0] += usize::from(starts);
                weighed[1] += usize::from(ends);
                weight = target.weight;
                // A label is followed by another box.
                if said.starts_with("\"},") {
                    assert!(found(target.row).is_some() && found(target.row - 1).is_none(), "batch {index}");
                    more += 1;
                }
            }
        }
        let counted = [heard, places, more, labels];
        assert!(counted.iter().zip(&least).all(|(count, least)| count >= least), "{skills:?}: {counted:?}");
        assert!(weighed[0] == weighed[1] && (weighed[0] > 0) == (skills[1] > 0), "{skills:?}: {weighed:?}");
    }
}

/// Always the same three tokens, the second to be learned in even batches and the third in odd ones, with these weights.
struct Weighted([f32; 2]);

impl Dataset for Weighted {
    fn batch(&self, index: u64) -> Result<Batch> {
        let Self([second, third]) = *self;
        let (second, third) = if index.is_multiple_of(2) { (second, 0.0) } else { (0.0, third) };
        Batch::new(&[Example {
            ids: vec![5, 6, 7],
            positions: vec![[0; 3], [1; 3], [2; 3]],
            weights: vec![0.0, second, third],
            early: Vec::new(),
            known: Vec::new(),
            found: Vec::new(),
            slots: Vec::new(),
            patches: Vec::new(),
            patch_labels: Vec::new(),
        }])
    }
}

#[test]
fn weights_say_how_much_a_token_counts() {
    let folder = small_checkpoint();
    let loss = |weights| {
        let (state, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dataset = Weighted(weights);
        let (state, out) = (state.path(), out.path());
        let run = Run { folder: folder.path(), state, out, dataset: &dataset, workers: 1, until: 1, rate: 1e-3 };
        dispatch("cpu", run).unwrap()[0]
    };
    let (second, third) = (loss([1.0, 0.0]), loss([0.0, 1.0]));
    assert!((second - third).abs() > 1e-2, "{second} {third}");
    assert!((loss([0.5, 0.0]) - second).abs() < 1e-5, "only their ratio counts");
    assert!((loss([3.0, 1.0]) - (3.0 * second + third) / 4.0).abs() < 1e-5);
}

#[test]
fn an_example_whose_parts_do_not_fit_is_refused() {
    let example = Example {
        ids: vec![1, 2],
        positions: vec![[0; 3]],
        weights: vec![0.0, 1.0],
        early: Vec::new(),
        known: Vec::new(),
        found: Vec::new(),
        slots: Vec::new(),
        patches: Vec::new(),
        patch_labels: Vec::new(),
    };
    assert!(matches!(Batch::new(&[example]), Err(Error::Prompt { .. })));
}

/// Batches with something in them that the model has no class for.
struct Spoiled<'a>(&'a ShapesDataset, Spoil);

type Spoil = fn(&mut Batch);

impl Dataset for Spoiled<'_> {
    fn batch(&self, index: u64) -> Result<Batch> {
        let mut batch = self.0.batch(index)?;
        if index == 0 {
            self.1(&mut batch);
        }
        Ok(batch)
    }
}

#[test]
fn what_the_model_has_no_class_for_is_refused() {
    let folder = small_checkpoint();
    let mut dataset = dataset(folder.path());
    dataset.stages[0].recipe.skills = [0, 1, 0, 0, 0];
    let cases: [(Spoil, &str); 5] = [
        (|batch| batch.patch_labels[0].kind = KINDS as u32, "a patch is labelled"),
        (|batch| batch.patch_labels[0].numbers = Some([PLACES as u32; 4]), "a number to be known"),
        (|batch| batch.found[0].numbers[3] = PLACES as u32, "a number to be known"),
        (|batch| batch.known[0].numbers[0] = PLACES as u32, "a number to be known"),
        (|batch| batch.early[0].token = 1 << 20, "an early target is token 1048576"),
    ];
    for (spoil, message) in cases {
        let dataset = Spoiled(&dataset, spoil);
        let (state, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (folder, state, out) = (folder.path(), state.path(), out.path());
        let run = Run { folder, state, out, dataset: &dataset, workers: 1, until: 1, rate: 1e-3 };
        let error = dispatch("cpu", run).unwrap_err();
        assert!(matches!(error, Error::Prompt { .. }) && error.to_string().contains(message), "{error}");
    }
}

#[test]
fn labels_tell_places_in_the_steps_of_the_answers() {
    let folder = small_checkpoint();
    let dataset = dataset(folder.path());
    let mut kinds = std::collections::HashSet::new();
    let mut words = std::collections::HashSet::new();
    for index in 0..40 {
        let batch = dataset.batch(index).unwrap();
        assert_eq!(batch.patch_labels.len(), batch.grids.iter().map(|grid| grid.patches()).sum::<usize>());
        let shown = batch.early.iter().filter(|target| target.weight == 1.0);
        words.extend(shown.map(|target| dataset.tokenizer.decode(&[target.token])));
        for token in batch.patch_labels.chunks_exact(4) {
            assert!(token.iter().any(|label| label.numbers.is_some()), "every token stands somewhere");
            for label in token {
                kinds.insert(label.kind);
                assert!((label.kind as usize) < KINDS && (label.kind == 0 || label.numbers.is_some()));
                assert!(label.numbers.iter().flatten().all(|number| (*number as usize) < PLACES));
            }
        }
    }
    assert!(kinds.len() > 20, "{kinds:?}");
    assert!(["7", "K"].iter().all(|character| words.contains(*character)) && words.len() > 30, "{words:?}");
}

/// Put the weights of one checkpoint into a larger one of the same words.
struct Grow<'a> {
    from: &'a Path,
    to: &'a Path,
}

impl WithBackend for Grow<'_> {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> Result<()> {
        let (earlier, config) = (Checkpoint::open(self.from)?, ModelConfig::load(self.to)?);
        let earlier_config = ModelConfig::load(self.from)?.text;
        let words = config.text.vocab_size as u32;
        let tokens: Vec<(u32, u32)> = (0..words).map(|token| (token, token)).collect();
        let random = RandomSource { seed: 5, embedding_std: 0.2, depth: 3, device: device.clone() };
        let source = ExpandedSource::new(&earlier, &earlier_config, &tokens, random, &device);
        let state = tempfile::tempdir().unwrap();
        let options = TrainOptions {
            schedule: Schedule { peak: 1e-3, last: 1e-4, warmup: 1, steps: 1 },
            batches_per_step: 1,
            workers: 1,
            patch_classes: 0,
            number_classes: 0,
            betas: [0.9, 0.98],
            weight_decay: 0.0,
            clip: 1.0,
            run: "grow".into(),
            state: state.path().to_path_buf(),
            save_every: 100,
        };
        let preprocess = PreprocessConfig::load(self.to)?;
        Trainer::<B>::new(&source, &config, options, preprocess, device.clone())?.save_weights(self.to)
    }
}

#[test]
fn a_grown_model_does_what_the_smaller_one_did() {
    let small = small_checkpoint();
    let dataset = dataset(small.path());
    let state = tempfile::tempdir().unwrap();
    let (folder, out) = (small.path(), small.path());
    let run = Run { folder, state: state.path(), out, dataset: &dataset, workers: 1, until: 1, rate: 1e-3 };
    dispatch("cpu", run).unwrap();
    let large = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(small.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|ending| ending != "safetensors") {
            std::fs::copy(&entry, large.path().join(entry.file_name().unwrap())).unwrap();
        }
    }
    let path = large.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    config["num_hidden_layers"] = 4.into();
    config["num_key_value_heads"] = 2.into();
    config["max_window_layers"] = 4.into();
    config["vision_config"]["depth"] = 3.into();
    std::fs::write(&path, config.to_string()).unwrap();
    dispatch("cpu", Grow { from: small.path(), to: large.path() }).unwrap();
    let said = |folder: &Path| {
        let model = Model::load(folder, &LoadOptions::new().weights(WeightFormat::F32)).unwrap();
        let image =
            Image::from_rgb(140, 140, 420, &(0..140 * 420).map(|at| (at % 251) as u8).collect::<Vec<_>>()).unwrap();
        let prompt = Prompt::user().image(image).text("How many circles are there?").thinking(Thinking::Off);
        let answer = model.session().ask(&prompt, &GenerateOptions::new().max_tokens(8).logprobs(0)).unwrap();
        answer.logprobs.iter().map(|token| (token.id, token.logprob)).collect::<Vec<_>>()
    };
    let (small, large) = (said(small.path()), said(large.path()));
    assert!(!small.is_empty() && small.len() == large.len());
    for (a, b) in small.iter().zip(&large) {
        assert!(a.0 == b.0 && (a.1 - b.1).abs() < 1e-5, "{a:?} {b:?}");
    }
}
