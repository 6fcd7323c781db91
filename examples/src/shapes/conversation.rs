//! One example of training: a picture and several turns about it.

use super::ask::Question;
use super::caption::Order;
use super::draw::{Picture, draw};
use super::random::Random;
use super::scene::{Limits, Scene};

/// What a training conversation is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The scenes.
    pub limits: Limits,
    /// The order of captions.
    pub order: Order,
    /// Fewest and most turns.
    pub turns: (usize, usize),
    /// How often the last turn thinks.
    pub thinking: f64,
    /// How often an earlier turn looks like one that thought: no suffix, and only the answer left.
    pub thought: f64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self { limits: Limits::default(), order: Order::default(), turns: (1, 6), thinking: 0.6, thought: 0.15 }
    }
}

/// A question of the user and what the model should reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The user's words, without the suffix that turns thinking off.
    pub question: String,
    /// Whether the user's message ends with ` /no_think`.
    pub no_think: bool,
    /// The whole text of the assistant, without `<|im_end|>`.
    pub reply: String,
    /// Whether the reply is to be learned. It is not where the history shows an answer without the
    /// thinking that came before it.
    pub learn: bool,
}

/// A picture and the turns about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// What the picture shows.
    pub scene: Scene,
    /// What the first turn shows before its question.
    pub picture: Picture,
    /// The turns, in order; only the last one can contain thinking, as a history never does.
    pub turns: Vec<Turn>,
}

/// A part of a conversation as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The text, special tokens spelled out. Pieces tokenize apart as they do together.
    pub text: String,
    /// Whether its tokens count in the loss.
    pub learn: bool,
}

impl Conversation {
    /// The example number `index` of `seed`.
    pub fn random(seed: u64, index: u64, recipe: &Recipe) -> Self {
        let mut rng = Random::new(seed, index);
        let scene = Scene::random(&mut rng, &recipe.limits);
        let picture = draw(&scene, &mut rng);
        let (fewest, most) = recipe.turns;
        let count = rng.within(fewest as i32, most as i32) as usize;
        let questions = scene.questions(&mut rng, count);
        let thinks = rng.chance(recipe.thinking);
        let last = questions.len().saturating_sub(1);
        let turn = |(position, question): (usize, &Question)| {
            let answer = question.answer_text();
            let text = question.text.clone();
            if position == last && thinks {
                let reply = thinking_reply(&scene.caption(question.language, recipe.order), &answer);
                Turn { question: text, no_think: false, reply, learn: true }
            } else if position < last && rng.chance(recipe.thought) {
                Turn { question: text, no_think: false, reply: answer, learn: false }
            } else {
                Turn { question: text, no_think: true, reply: answer, learn: true }
            }
        };
        let turns = questions.iter().enumerate().map(turn).collect();
        Self { scene, picture, turns }
    }

    /// The conversation in the text format of the checkpoints, cut where learning starts and stops. One
    /// `<|image_pad|>` stands for the picture, to be repeated once per token of it.
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(2 * self.turns.len());
        let mut before = format!("<|im_start|>system\n{SYSTEM}<|im_end|>\n");
        let mut media = "<|vision_start|><|image_pad|><|vision_end|>";
        for turn in &self.turns {
            let suffix = if turn.no_think { NO_THINK } else { "" };
            before += &format!("<|im_start|>user\n{media}{}{suffix}<|im_end|>\n<|im_start|>assistant\n", turn.question);
            media = "";
            pieces.push(Piece { text: std::mem::replace(&mut before, "\n".into()), learn: false });
            pieces.push(Piece { text: format!("{}<|im_end|>", turn.reply), learn: turn.learn });
        }
        pieces
    }
}

/// The system line of MiMo's chat template.
pub(crate) const SYSTEM: &str = "You are MiMo, an AI assistant developed by Xiaomi.";
/// What turns thinking off at the end of a user's message.
pub(crate) const NO_THINK: &str = " /no_think";

/// The assistant's whole text when it thinks.
pub(crate) fn thinking_reply(caption: &str, answer: &str) -> String {
    format!("<think>\n{caption}\n</think>\n\n{answer}")
}
