//! Conversations as batches for the trainer.

use std::ops::Range;

use mimo_vl_core::expert::{
    PreprocessConfig, Tokenizer, build_input, preprocess_image, preprocess_video, video_layout,
};
use mimo_vl_core::train::{Dataset, Example, TokenTarget};
use mimo_vl_core::{Error, ModelConfig, Result};

use super::batch::{CoordinateTarget, PATCHES_PER_TOKEN, PatchLabel, ShapesBatch, ShapesExample};
use super::checkpoint::TOKEN_SIDE;
use super::conversation::{
    BINS_PER_TOKEN, Conversation, IM_END, Media, NO_THINK, Recipe, Skill, THINK_END, to_bin_edge,
};
use super::draw::AnnotatedImage;
use super::patch_class;
use super::random::Random;
use super::scene::Limits;

/// Ranges of width and height, in pixels: images to detect in, images of text, screens, and frames.
const DETECTION: [(u32, u32); 2] = [(140, 196), (140, 196)];
const TEXT: [(u32, u32); 2] = [(196, 224), (112, 196)];
const SCREEN: [(u32, u32); 2] = [(168, 196), (140, 196)];
const FRAME: [(u32, u32); 2] = [(112, 168), (112, 168)];

/// Weight of a row of text that predicts the names of what is asked for; a token of a name at an image token has 1.
const PROMPT_WEIGHT: f32 = 0.1;

/// Weight of a token of a label, relative to the other tokens of its answer.
const LABEL_WEIGHT: f32 = 4.0;

/// Text before the first coordinate of a box or point.
const COORDINATES_START: &str = "\": [";
/// Text between the last coordinate of a box and its label.
const COORDINATES_END: &str = "], ";
/// Text before the label of a box.
const LABEL_START: &str = "\"label\": \"";
/// Text after the label of a box.
const LABEL_END: &str = "\"}";

/// A stage of the training curriculum.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Number of batches.
    pub batches: u64,
    /// Distribution of the conversations.
    pub recipe: Recipe,
}

/// Training conversations of one seed.
///
/// The examples of a batch share skill, number of questions and image size in tokens, so that the vision tower needs no
/// padding and the language model little. Every answer weighs the square root of its length, so that one-word answers
/// count beside lists of boxes; labels weigh more than the rest of their answer.
#[derive(Debug)]
pub struct ShapesDataset {
    /// Random seed.
    pub seed: u64,
    /// Stages in order; the last one has no end.
    pub stages: Vec<Stage>,
    /// Conversations per batch.
    pub batch_size: usize,
    /// Tokenizer of the model.
    pub tokenizer: Tokenizer,
    /// Configuration of the model.
    pub config: ModelConfig,
    /// Preprocessing of images and videos.
    pub preprocess: PreprocessConfig,
}

impl Dataset for ShapesDataset {
    type Batch = ShapesBatch;

    fn batch(&self, index: u64) -> Result<ShapesBatch> {
        let recipe = self.recipe(index);
        let limits = &recipe.limits;
        // Sizes have a seed of their own, so that their sequence is not that of an example.
        let mut rng = Random::new(!self.seed, index);
        let skill = Skill::random(&recipe.skill_weights, &mut rng);
        let [width, height] = match skill {
            Skill::Questions { .. } => [limits.width, limits.height],
            Skill::Detect { .. } => DETECTION,
            Skill::Read { .. } => TEXT,
            Skill::Click { .. } => SCREEN,
            Skill::Track { .. } => FRAME,
        };
        let mut one_size = |(low, high): (u32, u32)| {
            let side = TOKEN_SIDE as u32;
            let (min_tokens, max_tokens) = (low.div_ceil(side), high / side);
            let tokens = rng.within(min_tokens as i32, max_tokens as i32) as u32;
            (low.max(tokens * side - side / 2 + 1), high.min(tokens * side + side / 2 - 1))
        };
        let limits = Limits { width: one_size(width), height: one_size(height), ..limits.clone() };
        let recipe = Recipe { limits, ..recipe.clone() };
        let first = index * self.batch_size as u64;
        let examples = (first..first + self.batch_size as u64)
            .map(|index| self.example(&Conversation::random(self.seed, index, skill, &recipe)?));
        ShapesBatch::new(&examples.collect::<Result<Vec<_>>>()?)
    }
}

/// A tokenized conversation, with one placeholder token for its media item, and its targets.
struct TokenizedConversation {
    ids: Vec<u32>,
    weights: Vec<f32>,
    middle_tokens: Vec<TokenTarget>,
    middle_bounds: Vec<CoordinateTarget>,
    late_bounds: Vec<CoordinateTarget>,
}

/// Targets of the boxes and points in an answer.
struct AnswerTargets {
    /// Bounds of a box at the rows that predict its label: the model looks the label up by them.
    middle_bounds: Vec<CoordinateTarget>,
    /// Bounds of a box or point at the rows up to the one that predicts its first coordinate, starting at the last
    /// token of the label before it. Those of the first box or point start at the question, and so do the bounds of an
    /// answer without coordinates.
    late_bounds: Vec<CoordinateTarget>,
    /// Token ranges of all labels.
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

    fn example(&self, conversation: &Conversation) -> Result<ShapesExample> {
        let (pad, patches, second_per_grid, images) = match &conversation.media {
            Media::Image(image) => {
                let patches = preprocess_image(&image.to_image()?, &self.preprocess)?;
                (self.config.tokens.image, patches, None, vec![image])
            }
            Media::Video(motion) => {
                let video = motion.video()?;
                let second_per_grid = video_layout(&video, &self.preprocess)?.second_per_grid;
                let patches = preprocess_video(&video, &self.preprocess)?;
                (self.config.tokens.video, patches, second_per_grid, motion.frames.iter().collect())
            }
        };
        let TokenizedConversation { ids, mut weights, mut middle_tokens, mut middle_bounds, mut late_bounds } =
            self.tokenize(conversation)?;
        let media_start = ids.iter().position(|&id| id == pad).unwrap_or(0);
        let media = [(patches.grid, second_per_grid)];
        let input = build_input(&ids, &media, &self.config.tokens, self.config.vision.tokens_per_second)?;
        let inserted = patches.grid.tokens() - 1;
        weights.splice(media_start..media_start, std::iter::repeat_n(0.0, inserted));
        middle_tokens.iter_mut().for_each(|target| target.row += inserted as u32);
        middle_bounds.iter_mut().chain(&mut late_bounds).for_each(|target| target.row += inserted as u32);
        let [rows, columns] = [patches.grid.h, patches.grid.w];
        // A temporal patch has two frames, of which the first is labelled.
        let labels = images.iter().step_by(2).map(|image| patch_labels(image, [rows, columns]));
        let patch_labels = labels.collect::<Vec<_>>().concat();
        for (row, block) in (media_start as u32..).zip(patch_labels.chunks_exact(PATCHES_PER_TOKEN)) {
            for label in block {
                let names = self.encode_all(&patch_class::names(label.class))?;
                middle_tokens.extend(names.into_iter().map(|token| TokenTarget { row, token, weight: 1.0 }));
            }
        }
        let inputs = Example {
            ids: input.ids,
            positions: input.positions,
            weights,
            placeholders: input.placeholders,
            patches: vec![patches],
        };
        Ok(ShapesExample { inputs, patch_labels, middle_tokens, middle_bounds, late_bounds })
    }

    fn tokenize(&self, conversation: &Conversation) -> Result<TokenizedConversation> {
        let (mut ids, mut weights) = (Vec::new(), Vec::new());
        let (mut middle_tokens, mut middle_bounds, mut late_bounds) = (Vec::new(), Vec::new(), Vec::new());
        // Rows after the user's text, up to the start of the answer.
        let mut prompt_rows = 0..0;
        for segment in conversation.segments() {
            let segment_ids = self.tokenizer.encode(&segment.text)?;
            let weight = if segment.is_target { 1.0 / (segment_ids.len() as f32).sqrt() } else { 0.0 };
            weights.extend(std::iter::repeat_n(weight, segment_ids.len()));
            let start = ids.len();
            ids.extend(segment_ids);
            if segment.is_target {
                let answer = segment.text.rsplit(THINK_END).next().unwrap_or(&segment.text);
                let answer_start = ids.len() - self.tokenizer.encode(answer)?.len();
                // Without thinking, the row that predicts the first token of the answer is one of the prompt.
                let first = if answer_start == start { answer_start } else { answer_start - 1 };
                let names = self.encode_all(&segment.grounding.names)?;
                let weight = PROMPT_WEIGHT / names.len().max(1) as f32;
                let target = |row| names.iter().map(move |&token| TokenTarget { row: row as u32, token, weight });
                middle_tokens.extend(prompt_rows.clone().chain(first..ids.len() - 1).flat_map(target));
                let rows = prompt_rows.clone().chain(first..answer_start);
                let targets = self.answer_targets(answer, &segment.grounding.boxes, rows, answer_start)?;
                for label in targets.labels {
                    weights[label].iter_mut().for_each(|weight| *weight *= LABEL_WEIGHT);
                }
                middle_bounds.extend(targets.middle_bounds);
                late_bounds.extend(targets.late_bounds);
            }
            let typed = segment.text.rfind(IM_END).map_or("", |end| &segment.text[..end]);
            let typed = typed.strip_suffix(NO_THINK).unwrap_or(typed);
            prompt_rows = (start + self.tokenizer.encode(typed)?.len()).max(1) - 1..ids.len();
        }
        Ok(TokenizedConversation { ids, weights, middle_tokens, middle_bounds, late_bounds })
    }

    /// Targets of an answer that starts at row `answer_start` and has the coordinates `boxes`; `rows` are the rows
    /// before it that know the first of them.
    fn answer_targets(
        &self,
        answer: &str,
        boxes: &[[i64; 4]],
        rows: impl Iterator<Item = usize>,
        answer_start: usize,
    ) -> Result<AnswerTargets> {
        let boxes: Vec<_> = boxes.iter().map(|bounds| bounds.map(|edge| coordinate_bin(edge as usize))).collect();
        let target = |row: usize, bounds: [u32; 4]| CoordinateTarget { row: row as u32, bounds };
        let row = |end: usize| Ok::<_, Error>(answer_start + self.tokenizer.encode(&answer[..end])?.len());
        let (mut middle_bounds, mut labels) = (Vec::new(), Vec::new());
        let mut late_bounds: Vec<_> = rows.flat_map(|row| boxes.first().map(|&bounds| target(row, bounds))).collect();
        let mut from = answer_start;
        for (&bounds, (start, opening)) in boxes.iter().zip(answer.match_indices(COORDINATES_START)) {
            late_bounds.extend((from..row(start + opening.len())?).map(|row| target(row, bounds)));
            let find = |text: &str| answer[start..].find(text).map(|offset| start + offset);
            if let (Some(coordinates_end), Some(label), Some(label_end)) =
                (find(COORDINATES_END), find(LABEL_START), find(LABEL_END))
            {
                let label = row(label + LABEL_START.len())?..row(label_end)?;
                from = label.end - 1;
                middle_bounds.extend((row(coordinates_end)?..from).map(|row| target(row, bounds)));
                labels.push(label);
            }
        }
        Ok(AnswerTargets { middle_bounds, late_bounds, labels })
    }

    /// Tokens of all texts, one after another.
    fn encode_all(&self, texts: &[String]) -> Result<Vec<u32>> {
        Ok(texts.iter().map(|text| self.tokenizer.encode(text)).collect::<Result<Vec<_>>>()?.concat())
    }
}

/// Labels of all patches, in the order of patches (2×2 blocks): class and bounds of the object whose center a patch
/// shows. In a block without a center, the first patch has the upper left corner of the token, twice, so that the
/// language model learns the positions of tokens.
fn patch_labels(image: &AnnotatedImage, [rows, columns]: [usize; 2]) -> Vec<PatchLabel> {
    let mut labels = vec![PatchLabel::default(); rows * columns];
    let patch = TOKEN_SIDE as f64 / 2.0;
    let scale = [columns as f64 / f64::from(image.width), rows as f64 / f64::from(image.height)];
    for annotation in &image.annotations {
        let bounds: [f64; 4] = std::array::from_fn(|index| annotation.bounds[index] * scale[index % 2]);
        let center = |axis: usize| (bounds[axis] + bounds[axis + 2]) / 2.0;
        let (row, column) = ((center(1) as usize).min(rows - 1), (center(0) as usize).min(columns - 1));
        let block = (row / 2) * (columns / 2) + column / 2;
        labels[PATCHES_PER_TOKEN * block + 2 * (row % 2) + column % 2] = PatchLabel {
            class: annotation.class,
            bounds: Some(bounds.map(|edge| coordinate_bin(to_bin_edge(edge * patch) as usize))),
        };
    }
    for (block, labels) in labels.chunks_exact_mut(PATCHES_PER_TOKEN).enumerate() {
        if labels.iter().all(|label| label.class == 0) {
            let (row, column) = (block / (columns / 2) * TOKEN_SIDE, block % (columns / 2) * TOKEN_SIDE);
            labels[0].bounds = Some([column, row, column, row].map(coordinate_bin));
        }
    }
    labels
}

/// Coordinate bin of a pixel of the resized image.
fn coordinate_bin(pixel: usize) -> u32 {
    (pixel * BINS_PER_TOKEN / TOKEN_SIDE) as u32
}
