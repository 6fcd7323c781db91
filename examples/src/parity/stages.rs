//! The stages of a case. Each starts from the expected output of the one before.

use std::error::Error;
use std::fmt::Debug;

use mimo_vl_core::expert::{
    Features, Grid, ModelInput, Patches, PrefillInput, Sampler, Sequence, TaskControl, build_input,
};
use mimo_vl_core::{Error as LibraryError, GenerateOptions, Model, Prompt, StopReason};

use super::case::Case;
use super::measure::worst_error;
use super::{Row, TENSOR_TOLERANCE, Verdict};

/// Largest mean and maximum difference of patches of a JPEG file, of 255: decoders round differently.
const JPEG_MEAN_TOLERANCE: f64 = 0.5;
const JPEG_MAX_TOLERANCE: u8 = 8;

/// Number of tokens per forward pass in the stages that run from the images.
const PREFILL_CHUNK: usize = 512;

type Outcome = Result<(Verdict, String), Box<dyn Error>>;

type Stage<'a> = fn(&Run<'a>) -> Outcome;

/// Compares all stages of a case with the expected values.
pub fn compare_stages(model: &Model, case: &Case) -> Vec<Row> {
    let text: [(&str, Stage<'_>); 2] = [("prompt", Run::prompt), ("ids", Run::ids)];
    let media: [(&str, Stage<'_>); 3] = [("grids", Run::grids), ("patches", Run::patches), ("features", Run::features)];
    let rest: [(&str, Stage<'_>); 7] = [
        ("positions", Run::positions),
        ("rope_delta", Run::rope_delta),
        ("logits", Run::logits),
        ("decode", Run::decode),
        ("text", Run::text),
        ("answer", Run::answer),
        ("session", Run::session),
    ];
    let run = Run { model, case, control: TaskControl::default() };
    let media = media.iter().filter(|_| !case.media.is_empty());
    let rows = text.iter().chain(media).chain(&rest).map(|&(stage, compare)| {
        let (verdict, error) =
            compare(&run).unwrap_or_else(|error| (Verdict::Failed, error.to_string().replace('\n', " ")));
        Row { case: case.name.clone(), stage, verdict, error }
    });
    rows.collect()
}

/// The logits of every token of the conversation, computed from its messages and images in chunks of `chunk` tokens.
///
/// # Shapes
/// - result: `[tokens, vocab]`
///
/// # Errors
/// Those of the library.
pub fn prompt_logits(model: &Model, case: &Case, chunk: usize) -> Result<Vec<f32>, LibraryError> {
    let prefilled = Run { model, case, control: TaskControl::default() }.prefill_messages(chunk, true)?;
    Ok(prefilled.logits)
}

/// A sequence after the prefill of a conversation.
struct Prefilled {
    sequence: Box<dyn Sequence>,
    /// Next position minus number of prompt tokens.
    rope_delta: i64,
    /// Logits of every token, or of the last one: `[tokens, vocab]`.
    logits: Vec<f32>,
}

struct Run<'a> {
    model: &'a Model,
    case: &'a Case,
    control: TaskControl,
}

impl Run<'_> {
    fn prompt(&self) -> Outcome {
        let rendered = self.model.template().render(&self.case.messages, true)?;
        let (actual, expected) = (rendered.chars(), self.case.expected.prompt.chars());
        Ok(equal(&actual.collect::<Vec<_>>(), &expected.collect::<Vec<_>>()))
    }

    /// Token ids from the rendered text, and from the messages as in a session.
    fn ids(&self) -> Outcome {
        let (expected, tokenizer) = (&self.case.expected, self.model.tokenizer());
        let from_text = tokenizer.encode(&expected.prompt)?;
        let from_messages = self.model.template().encode(tokenizer, &self.case.messages, true)?;
        let from_text = equal(&self.expand(&from_text)?.ids, &expected.ids);
        let from_messages = equal(&self.expand(&from_messages)?.ids, &expected.ids);
        Ok(if from_text.0 == Verdict::Failed { from_text } else { from_messages })
    }

    fn grids(&self) -> Outcome {
        let actual: Vec<Grid> = self.all_patches()?.iter().map(|patches| patches.grid).collect();
        Ok(equal(&actual, &self.case.expected.media.iter().map(|item| item.grid).collect::<Vec<_>>()))
    }

    fn patches(&self) -> Outcome {
        let (mut text, mut passed) = (Vec::new(), true);
        let all = self.all_patches()?;
        for ((patches, item), expected) in all.iter().zip(&self.case.media).zip(&self.case.expected.media) {
            let (verdict, error) = match item.lossy && patches.pixels.len() == expected.patches.len() {
                false => equal(&patches.pixels, &expected.patches),
                true => close_pixels(&patches.pixels, &expected.patches),
            };
            passed &= verdict == Verdict::Passed;
            text.push(error);
        }
        text.dedup();
        Ok((verdict(passed), text.join("; ")))
    }

    fn features(&self) -> Outcome {
        let (mut actual, mut expected, mut width) = (Vec::new(), Vec::new(), 0);
        for (mut patches, item) in self.all_patches()?.into_iter().zip(&self.case.expected.media) {
            (patches.grid, patches.pixels) = (item.grid, item.patches.clone());
            let features = self.model.engine().encode(&patches, &self.control)?;
            width = features.width;
            actual.extend(features.values);
            expected.extend_from_slice(&item.features.values);
        }
        Ok(close(worst_error(&actual, &expected, width)))
    }

    fn positions(&self) -> Outcome {
        Ok(equal(&self.expand_expected()?.positions, &self.case.expected.positions))
    }

    fn rope_delta(&self) -> Outcome {
        Ok(equal(&[self.expand_expected()?.rope_delta], &[self.case.expected.rope_delta]))
    }

    fn logits(&self) -> Outcome {
        let prefilled = self.prefill_expected()?;
        Ok(close(worst_error(&prefilled.logits, &self.case.expected.logits, self.case.expected.vocab)))
    }

    /// Logits of the expected answer, decoded token by token.
    fn decode(&self) -> Outcome {
        let expected = &self.case.expected;
        let Prefilled { mut sequence, rope_delta, logits } = self.prefill_expected()?;
        let mut actual = logits[logits.len().saturating_sub(expected.vocab)..].to_vec();
        for &id in expected.greedy_ids.iter().take(expected.greedy_ids.len().saturating_sub(1)) {
            let position = u32::try_from(sequence.len() as i64 + rope_delta)?;
            actual.extend(sequence.step(id, position, &self.control)?);
        }
        let (verdict, error) = close(worst_error(&actual, &expected.greedy_logits, expected.vocab));
        Ok((verdict, format!("{error}, {} steps", expected.greedy_ids.len().saturating_sub(1))))
    }

    fn text(&self) -> Outcome {
        let text = self.model.tokenizer().decode(&self.case.expected.greedy_ids);
        let (actual, expected) = (text.chars(), self.case.expected.text.chars());
        Ok(equal(&actual.collect::<Vec<_>>(), &expected.collect::<Vec<_>>()))
    }

    /// The greedy answer from messages and images, without a session.
    fn answer(&self) -> Outcome {
        let (model, expected) = (self.model, &self.case.expected.greedy_ids);
        let Prefilled { mut sequence, rope_delta, mut logits } = self.prefill_messages(PREFILL_CHUNK, false)?;
        let mut sampler = Sampler::new(&GenerateOptions::new(), &[])?;
        let mut actual = Vec::new();
        while actual.len() < expected.len() {
            let id = sampler.sample(&mut logits, &[], 0, |_| Ok(()))?.id;
            actual.push(id);
            if model.eos_token_ids().contains(&id) {
                break;
            }
            let position = u32::try_from(sequence.len() as i64 + rope_delta)?;
            logits = sequence.step(id, position, &self.control)?;
        }
        Ok(self.compare_answers(&actual, expected))
    }

    /// The answer of a session. Sessions suppress the tokens that frame media, so the comparison ends where the
    /// reference has one.
    fn session(&self) -> Outcome {
        let expected = &self.case.expected.greedy_ids;
        let options = GenerateOptions::new().max_tokens(expected.len());
        let answer = self.model.session().ask(&Prompt::from_messages(self.case.messages.clone()), &options)?;
        let suppressed = expected.iter().position(|id| self.model.suppressed_tokens().contains(id));
        let stop = expected.iter().position(|id| self.model.eos_token_ids().contains(id));
        let (mut actual, compared) = (answer.ids.as_slice(), suppressed.or(stop).unwrap_or(expected.len()));
        if suppressed.is_some() {
            actual = &actual[..compared.min(actual.len())];
        }
        let (verdict, error) = self.compare_answers(actual, &expected[..compared]);
        if suppressed.is_none() && !self.case.lossy() && (answer.stop == StopReason::EndOfText) != stop.is_some() {
            return Ok((Verdict::Failed, format!("{error}, but the answer ended with {:?}", answer.stop)));
        }
        Ok((verdict, error))
    }

    /// Compares token ids. Answers about JPEG files are only reported, since their pixels may differ.
    fn compare_answers(&self, actual: &[u32], expected: &[u32]) -> (Verdict, String) {
        let (verdict, error) = equal(actual, expected);
        let error = format!("{error}, {} tokens, margin {:.4}", expected.len(), self.case.expected.min_margin);
        (if self.case.lossy() { Verdict::Reported } else { verdict }, error)
    }

    /// Prefills the conversation from its messages and images. `all` asks for the logits of every token.
    fn prefill_messages(&self, chunk: usize, all: bool) -> Result<Prefilled, LibraryError> {
        let (engine, config) = (self.model.engine(), self.model.config());
        let ids = self.model.template().encode(self.model.tokenizer(), &self.case.messages, true)?;
        let patches = self.all_patches()?;
        let grids: Vec<_> = patches.iter().map(|patches| (patches.grid, patches.second_per_grid)).collect();
        let input = build_input(&ids, &grids, &config.tokens, config.vision.tokens_per_second)?;
        let features = patches.iter().map(|patches| engine.encode(patches, &self.control));
        let features: Vec<Features> = features.collect::<Result<_, _>>()?;
        let prefill_input = prefill_input(&input, &input.ids, &input.positions, features.iter());
        let mut sequence = engine.sequence();
        let logits = sequence.prefill(&prefill_input, chunk, all, &self.control)?;
        Ok(Prefilled { sequence, rope_delta: input.rope_delta, logits })
    }

    fn all_patches(&self) -> Result<Vec<Patches>, LibraryError> {
        self.case.media.iter().map(|item| item.patches(self.model.preprocess_config())).collect()
    }

    /// Expands ids that have one placeholder per media item, with the expected grids.
    fn expand(&self, ids: &[u32]) -> Result<ModelInput, LibraryError> {
        let patches = self.all_patches()?;
        let seconds = patches.iter().map(|patches| patches.second_per_grid);
        let grids: Vec<_> = self.case.expected.media.iter().map(|item| item.grid).zip(seconds).collect();
        let config = self.model.config();
        build_input(ids, &grids, &config.tokens, config.vision.tokens_per_second)
    }

    /// Collapses the placeholders of each media item of the expected ids to one, and expands them again.
    fn expand_expected(&self) -> Result<ModelInput, LibraryError> {
        let tokens = &self.model.config().tokens;
        let mut grids = self.case.expected.media.iter().map(|item| item.grid);
        let (mut ids, mut skip) = (Vec::new(), 0);
        for &id in &self.case.expected.ids {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            if id == tokens.image || id == tokens.video {
                skip = grids.next().map_or(0, |grid| grid.tokens().saturating_sub(1));
            }
            ids.push(id);
        }
        self.expand(&ids)
    }

    /// Prefills the expected tokens, positions and features.
    fn prefill_expected(&self) -> Result<Prefilled, LibraryError> {
        let (expected, input) = (&self.case.expected, self.expand_expected()?);
        let features = expected.media.iter().map(|item| &item.features);
        let mut sequence = self.model.engine().sequence();
        let input = prefill_input(&input, &expected.ids, &expected.positions, features);
        let logits = sequence.prefill(&input, expected.ids.len(), true, &self.control)?;
        Ok(Prefilled { sequence, rope_delta: expected.rope_delta, logits })
    }
}

fn prefill_input<'a>(
    input: &ModelInput,
    ids: &'a [u32],
    positions: &'a [[u32; 3]],
    features: impl Iterator<Item = &'a Features>,
) -> PrefillInput<'a> {
    PrefillInput { ids, positions, media: input.placeholders.iter().cloned().zip(features).collect() }
}

fn verdict(passed: bool) -> Verdict {
    if passed { Verdict::Passed } else { Verdict::Failed }
}

fn equal<T: PartialEq + Debug>(actual: &[T], expected: &[T]) -> (Verdict, String) {
    let difference = actual.iter().zip(expected).position(|(actual, expected)| actual != expected);
    let error = match difference {
        Some(at) => format!("at {at}: {:?}, expected {:?}", actual[at], expected[at]),
        None if actual.len() != expected.len() => format!("length {}, expected {}", actual.len(), expected.len()),
        None => "equal".to_owned(),
    };
    (verdict(actual == expected), error)
}

fn close(error: f64) -> (Verdict, String) {
    (verdict(error <= TENSOR_TOLERANCE), format!("{error:.2e} of {TENSOR_TOLERANCE:.0e}"))
}

/// Compares patches of a JPEG file.
fn close_pixels(actual: &[u8], expected: &[u8]) -> (Verdict, String) {
    let differences = || actual.iter().zip(expected).map(|(&a, &b)| a.abs_diff(b));
    let mean = differences().map(f64::from).sum::<f64>() / expected.len().max(1) as f64;
    let max = differences().max().unwrap_or(0);
    let error = format!("JPEG: mean {mean:.3} of {JPEG_MEAN_TOLERANCE}, max {max} of {JPEG_MAX_TOLERANCE}");
    (verdict(mean <= JPEG_MEAN_TOLERANCE && max <= JPEG_MAX_TOLERANCE), error)
}
