//! Conversations as batches for the trainer.

use std::ops::Range;

use mimo_vl_core::expert::{
    PreprocessConfig, Tokenizer, build_input, preprocess_image, preprocess_video, video_layout,
};
use mimo_vl_core::train::{Batch, Dataset, Example, NumberTarget, PatchLabel, Target};
use mimo_vl_core::{Error, ModelConfig, Result};

use super::checkpoint::TOKEN_SIDE;
use super::conversation::{ANSWER, Conversation, IM_END, Media, NO_THINK, Recipe, STEPS, Skill, in_steps};
use super::draw::Picture;
use super::kinds;
use super::random::Random;
use super::scene::Limits;

/// Width and height of pictures to detect in, of text, of screens, and of frames, each from the least to the most.
const DETECTION: [(u32, u32); 2] = [(140, 196), (140, 196)];
const TEXT: [(u32, u32); 2] = [(196, 224), (112, 196)];
const SCREEN: [(u32, u32); 2] = [(168, 196), (140, 196)];
const FRAME: [(u32, u32); 2] = [(112, 168), (112, 168)];

/// How much a row counts that is to know what was asked for; each token of what a picture shows counts 1.
const ASKED: f32 = 0.1;

/// How many times as much a token of a label counts as the other tokens of its reply.
const LABEL_WEIGHT: f32 = 4.0;

/// What stands before the first number of a place.
const OPENING: &str = "\": [";
/// What stands before the label of a box.
const LABEL_START: &str = "\"label\": \"";
/// What stands behind the label of a box.
const LABEL_END: &str = "\"}";

/// What some of the batches are made of.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Batches of this stage.
    pub batches: u64,
    /// What their conversations are made of.
    pub recipe: Recipe,
}

/// Training conversations of one seed. The examples of a batch have one skill, one number of turns and one
/// size in tokens, so that nothing is padded in the vision tower and little in the language model. A reply counts by the square
/// root of its length, its labels more: an answer of one word shall not vanish beside lists of boxes.
#[derive(Debug)]
pub struct ShapesDataset {
    /// The seed of everything.
    pub seed: u64,
    /// What conversations are made of, one stage after another; the last one goes on for ever.
    pub stages: Vec<Stage>,
    /// Conversations in a batch.
    pub batch_size: usize,
    /// The tokenizer of the model.
    pub tokenizer: Tokenizer,
    /// The model's configuration.
    pub config: ModelConfig,
    /// How pictures become patches.
    pub preprocess: PreprocessConfig,
}

impl Dataset for ShapesDataset {
    fn batch(&self, index: u64) -> Result<Batch> {
        let recipe = self.recipe(index);
        let limits = &recipe.limits;
        // The stream of sizes must not be one of the examples'.
        let mut rng = Random::new(!self.seed, index);
        let skill = Skill::random(&recipe.skills, &mut rng);
        let [width, height] = match skill {
            Skill::Ask { .. } => [limits.width, limits.height],
            Skill::Detect { .. } => DETECTION,
            Skill::Read { .. } => TEXT,
            Skill::Click { .. } => SCREEN,
            Skill::Motion { .. } => FRAME,
        };
        let mut one_size = |(low, high): (u32, u32)| {
            let side = TOKEN_SIDE as u32;
            let (fewest, most) = (low.div_ceil(side), high / side);
            let tokens = rng.within(fewest as i32, most as i32) as u32;
            (low.max(tokens * side - side / 2 + 1), high.min(tokens * side + side / 2 - 1))
        };
        let limits = Limits { width: one_size(width), height: one_size(height), ..limits.clone() };
        let recipe = Recipe { limits, ..recipe.clone() };
        let first = index * self.batch_size as u64;
        let examples = (first..first + self.batch_size as u64)
            .map(|index| self.example(&Conversation::random(self.seed, index, skill, &recipe)?));
        Batch::new(&examples.collect::<Result<Vec<_>>>()?)
    }
}

/// A conversation as tokens, one for its media, and what is to be learned of them.
struct Script {
    ids: Vec<u32>,
    weights: Vec<f32>,
    early: Vec<Target>,
    known: Vec<NumberTarget>,
    found: Vec<NumberTarget>,
}

/// What there is to learn of the places that an answer says.
struct PlaceTargets {
    /// A place is to be known at the rows that say the label of its box: what is there is looked up by it.
    known: Vec<NumberTarget>,
    /// A place is to have been found up to the row that says its first number, from the last token of the label before it on; the
    /// first one from where it is asked for on, and in an answer that says no numbers there only.
    found: Vec<NumberTarget>,
    /// The tokens of every label.
    labels: Vec<Range<usize>>,
}

impl ShapesDataset {
    fn recipe(&self, batch: u64) -> &Recipe {
        let mut end = 0;
        let stage = self.stages.iter().find(|stage| {
            end += stage.batches;
            batch < end
        });
        &stage.unwrap_or(&self.stages[self.stages.len() - 1]).recipe
    }

    fn example(&self, conversation: &Conversation) -> Result<Example> {
        let (pad, patches, second_per_grid, pictures) = match &conversation.media {
            Media::Picture(picture) => {
                let patches = preprocess_image(&picture.image()?, &self.preprocess)?;
                (self.config.tokens.image, patches, None, vec![picture])
            }
            Media::Motion(motion) => {
                let video = motion.video()?;
                let second_per_grid = video_layout(&video, &self.preprocess)?.second_per_grid;
                let patches = preprocess_video(&video, &self.preprocess)?;
                (self.config.tokens.video, patches, second_per_grid, motion.frames.iter().collect())
            }
        };
        let Script { ids, mut weights, mut early, mut known, mut found } = self.script(conversation)?;
        let before_media = ids.iter().position(|&id| id == pad).unwrap_or(0);
        let media = [(patches.grid, second_per_grid)];
        let encoded = build_input(&ids, &media, &self.config.tokens, self.config.vision.tokens_per_second)?;
        let repeats = patches.grid.tokens() - 1;
        weights.splice(before_media..before_media, std::iter::repeat_n(0.0, repeats));
        early.iter_mut().for_each(|target| target.row += repeats as u32);
        known.iter_mut().chain(&mut found).for_each(|target| target.row += repeats as u32);
        let [rows, columns] = [patches.grid.h, patches.grid.w];
        // Of the two frames of a step in time, the first is labelled.
        let labels = pictures.iter().step_by(2).map(|picture| self.labels(picture, [rows, columns]));
        let patch_labels = labels.collect::<Vec<_>>().concat();
        for (row, block) in (before_media as u32..).zip(patch_labels.chunks_exact(4)) {
            for label in block {
                let words = self.words(&kinds::said(label.kind))?;
                early.extend(words.into_iter().map(|token| Target { row, token, weight: 1.0 }));
            }
        }
        Ok(Example {
            ids: encoded.ids,
            positions: encoded.positions,
            weights,
            early,
            known,
            found,
            slots: encoded.placeholders,
            patches: vec![patches],
            patch_labels,
        })
    }

    fn script(&self, conversation: &Conversation) -> Result<Script> {
        let (mut ids, mut weights) = (Vec::new(), Vec::new());
        let (mut early, mut known, mut found) = (Vec::new(), Vec::new(), Vec::new());
        let mut heard = 0..0;
        for piece in conversation.pieces() {
            let piece_ids = self.tokenizer.encode(&piece.text)?;
            let weight = if piece.learn { 1.0 / (piece_ids.len() as f32).sqrt() } else { 0.0 };
            weights.extend(std::iter::repeat_n(weight, piece_ids.len()));
            let start = ids.len();
            ids.extend(piece_ids);
            if piece.learn {
                let said = piece.text.rsplit(ANSWER).next().unwrap_or(&piece.text);
                let answer = ids.len() - self.tokenizer.encode(said)?.len();
                // The row that says the first token of an answer without thinking is among those that heard the question.
                let first = if answer == start { answer } else { answer - 1 };
                let tokens = self.words(&piece.asked.names)?;
                let weight = ASKED / tokens.len().max(1) as f32;
                let target = |row| tokens.iter().map(move |&token| Target { row: row as u32, token, weight });
                early.extend(heard.clone().chain(first..ids.len() - 1).flat_map(target));
                let asked = heard.clone().chain(first..answer);
                let targets = self.place_targets(said, &piece.asked.places, asked, answer)?;
                for label in targets.labels {
                    weights[label].iter_mut().for_each(|weight| *weight *= LABEL_WEIGHT);
                }
                known.extend(targets.known);
                found.extend(targets.found);
            }
            // From the last token of what the user typed on.
            let typed = piece.text.rfind(IM_END).map_or("", |end| &piece.text[..end]);
            let typed = typed.strip_suffix(NO_THINK).unwrap_or(typed);
            heard = (start + self.tokenizer.encode(typed)?.len()).max(1) - 1..ids.len();
        }
        Ok(Script { ids, weights, early, known, found })
    }

    /// Where an answer says places, which starts at `answer`, and what is to be known and found of them at `asked` and in it.
    fn place_targets(
        &self,
        said: &str,
        places: &[[i64; 4]],
        asked: impl Iterator<Item = usize>,
        answer: usize,
    ) -> Result<PlaceTargets> {
        let places: Vec<_> = places.iter().map(|edges| edges.map(|edge| place(edge as usize))).collect();
        let at = |row: usize, numbers: [u32; 4]| NumberTarget { row: row as u32, numbers };
        let row = |end: usize| Ok::<_, Error>(answer + self.tokenizer.encode(&said[..end])?.len());
        let (mut known, mut labels) = (Vec::new(), Vec::new());
        let mut found: Vec<_> = asked.flat_map(|row| places.first().map(|&numbers| at(row, numbers))).collect();
        let mut from = answer;
        for (&numbers, (start, opening)) in places.iter().zip(said.match_indices(OPENING)) {
            found.extend((from..row(start + opening.len())?).map(|row| at(row, numbers)));
            let behind = |text: &str| said[start..].find(text).map(|at| start + at);
            if let (Some(numbers_end), Some(label), Some(label_end)) =
                (behind("], "), behind(LABEL_START), behind(LABEL_END))
            {
                let label = row(label + LABEL_START.len())?..row(label_end)?;
                from = label.end - 1;
                known.extend((row(numbers_end)?..from).map(|row| at(row, numbers)));
                labels.push(label);
            }
        }
        Ok(PlaceTargets { known, found, labels })
    }

    /// The tokens of all names.
    fn words(&self, names: &[String]) -> Result<Vec<u32>> {
        Ok(names.iter().map(|name| self.tokenizer.encode(name)).collect::<Result<Vec<_>>>()?.concat())
    }

    /// For every patch, in the order of patches (2×2 blocks together): what it shows the middle of, and its edges. Where a token shows
    /// no middle, its own upper left corner is to be known: so the language model learns where tokens stand.
    fn labels(&self, picture: &Picture, [rows, columns]: [usize; 2]) -> Vec<PatchLabel> {
        let mut labels = vec![PatchLabel::default(); rows * columns];
        let patch = TOKEN_SIDE as f64 / 2.0;
        let scale = [columns as f64 / f64::from(picture.width), rows as f64 / f64::from(picture.height)];
        for mark in &picture.marks {
            let edges: [f64; 4] = std::array::from_fn(|index| mark.edges[index] * scale[index % 2]);
            let middle = |axis: usize| (edges[axis] + edges[axis + 2]) / 2.0;
            let (row, column) = ((middle(1) as usize).min(rows - 1), (middle(0) as usize).min(columns - 1));
            let block = (row / 2) * (columns / 2) + column / 2;
            labels[4 * block + 2 * (row % 2) + column % 2] =
                PatchLabel { kind: mark.kind, numbers: Some(edges.map(|edge| place(in_steps(edge * patch) as usize))) };
        }
        for (block, labels) in labels.chunks_exact_mut(4).enumerate() {
            if labels.iter().all(|label| label.kind == 0) {
                let (row, column) = (block / (columns / 2) * TOKEN_SIDE, block % (columns / 2) * TOKEN_SIDE);
                labels[0].numbers = Some([column, row, column, row].map(place));
            }
        }
        labels
    }
}

/// The number of a place among those that have names.
fn place(pixel: usize) -> u32 {
    (pixel * STEPS / TOKEN_SIDE) as u32
}
