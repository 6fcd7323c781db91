//! Conversations as batches for the trainer.

use mimo_vl_core::config::{ModelConfig, PreprocessConfig};
use mimo_vl_core::encode::encode;
use mimo_vl_core::error::Result;
use mimo_vl_core::preprocess;
use mimo_vl_core::prompt::{Image, Tokenizer};
use mimo_vl_core::train::{Batch, Dataset, Example};

use super::conversation::{Conversation, Recipe};
use super::random::Random;
use super::scene::{Colour, Scene, Shape};

/// Kinds of things a patch can show: nothing, or the middle of one of the shapes in one of the colours.
pub const PATCH_CLASSES: usize = 1 + Colour::ALL.len() * Shape::ALL.len();

/// Side, in pixels, of the square that becomes one token.
const TOKEN_SIDE: u32 = 28;

/// Training conversations of one seed. Pictures of one batch have one size in tokens, so that nothing is padded
/// in the vision tower.
#[derive(Debug)]
pub struct ShapesDataset {
    /// The seed of everything.
    pub seed: u64,
    /// What conversations are made of.
    pub recipe: Recipe,
    /// Conversations in a batch.
    pub batch_size: usize,
    /// Batches at the start that show only one or two objects, in small pictures.
    pub easy_batches: u64,
    /// The tokenizer of the model.
    pub tokenizer: Tokenizer,
    /// The model's configuration.
    pub config: ModelConfig,
    /// How pictures become patches.
    pub preprocess: PreprocessConfig,
}

impl Dataset for ShapesDataset {
    fn batch(&self, index: u64) -> Result<Batch> {
        let easy = index < self.easy_batches;
        let mut limits = self.recipe.limits.clone();
        if easy {
            limits.objects.1 = limits.objects.1.min(2);
        }
        // The stream of sizes must not be one of the examples'.
        let mut rng = Random::new(!self.seed, index);
        let mut one_size = |(low, high): (u32, u32)| {
            let (fewest, most) = (low.div_ceil(TOKEN_SIDE), high / TOKEN_SIDE);
            let tokens = rng.within(fewest as i32, if easy { fewest as i32 + 1 } else { most as i32 }) as u32;
            let half = TOKEN_SIDE / 2;
            (low.max(tokens * TOKEN_SIDE - half + 1), high.min(tokens * TOKEN_SIDE + half - 1))
        };
        (limits.width, limits.height) = (one_size(limits.width), one_size(limits.height));
        let recipe = Recipe { limits, ..self.recipe.clone() };
        let first = index * self.batch_size as u64;
        let examples = (first..first + self.batch_size as u64).map(|index| self.example(index, &recipe));
        Batch::new(&examples.collect::<Result<Vec<_>>>()?)
    }
}

impl ShapesDataset {
    fn example(&self, index: u64, recipe: &Recipe) -> Result<Example> {
        let conversation = Conversation::random(self.seed, index, recipe);
        let picture = &conversation.picture;
        let image = Image::from_rgb(picture.width, picture.height, 3 * picture.width as usize, &picture.pixels)?;
        let patches = preprocess::image(&image, &self.preprocess)?;
        let (mut ids, mut learn) = (Vec::new(), Vec::new());
        for piece in conversation.pieces() {
            let piece_ids = self.tokenizer.encode(&piece.text)?;
            learn.extend(std::iter::repeat_n(piece.learn, piece_ids.len()));
            ids.extend(piece_ids);
        }
        let before_media = ids.iter().position(|&id| id == self.config.tokens.image).unwrap_or(0);
        let encoded = encode(&ids, &[(patches.grid, None)], &self.config.tokens, self.config.vision.tokens_per_second)?;
        let repeats = patches.grid.tokens() - 1;
        learn.splice(before_media..before_media, std::iter::repeat_n(false, repeats));
        let patch_labels =
            patch_labels(&conversation.scene, patches.transform.resized, [patches.grid.h, patches.grid.w]);
        Ok(Example {
            ids: encoded.ids,
            positions: encoded.positions,
            learn,
            slots: encoded.slots,
            patches: vec![patches],
            patch_labels,
        })
    }
}

/// For every patch, in the order of patches (2×2 blocks together): the kind of object whose middle it shows, or 0.
fn patch_labels(scene: &Scene, resized: (usize, usize), [rows, columns]: [usize; 2]) -> Vec<u32> {
    let mut labels = vec![0; rows * columns];
    for object in &scene.objects {
        let place = |start: u32, whole: u32, resized: usize, patches: usize| {
            let middle = (f64::from(start) + f64::from(object.size) / 2.0) * resized as f64 / f64::from(whole);
            ((middle / f64::from(TOKEN_SIDE / 2)) as usize).min(patches - 1)
        };
        let row = place(object.top, scene.height, resized.1, rows);
        let column = place(object.left, scene.width, resized.0, columns);
        let block = (row / 2) * (columns / 2) + column / 2;
        let kind = 1 + object.colour as usize * Shape::ALL.len() + object.shape as usize;
        labels[4 * block + 2 * (row % 2) + column % 2] = kind as u32;
    }
    labels
}
