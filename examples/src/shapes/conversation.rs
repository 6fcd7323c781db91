//! One example of training: a picture or a video, and one or several turns about it.

use mimo_vl_core::Result;
use mimo_vl_core::expert::{PreprocessConfig, smart_resize};

use super::ask::Question;
use super::buttons::Buttons;
use super::caption::Order;
use super::checkpoint::{LEAST_TOKENS, MOST_TOKENS, TOKEN_SIDE};
use super::detection::Detection;
use super::draw::{Picture, draw};
use super::motion::Motion;
use super::random::Random;
use super::reading::Reading;
use super::scene::{Limits, Scene};
use super::words::Language;

/// What a training conversation is about, and its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skill {
    /// Questions about shapes.
    Ask {
        /// Turns.
        turns: usize,
    },
    /// Boxes of shapes.
    Detect {
        /// Turns.
        turns: usize,
    },
    /// Reading characters.
    Read {
        /// Most lines.
        lines: usize,
    },
    /// Clicking buttons.
    Click {
        /// Turns.
        turns: usize,
        /// Whether as a GUI task, not as a plain request.
        task: bool,
    },
    /// Telling which way something moves.
    Motion {
        /// Frames of the video.
        frames: usize,
    },
}

impl Skill {
    /// One of the skills, by weights in their order.
    #[cfg(feature = "train")]
    pub(crate) fn random(weights: &[u32; 5], rng: &mut Random) -> Self {
        match rng.weighted(weights) {
            0 => Self::Ask { turns: rng.within(1, 4) as usize },
            1 => Self::Detect { turns: rng.within(1, 3) as usize },
            2 => Self::Read { lines: rng.within(1, 5) as usize },
            3 if rng.chance(0.3) => Self::Click { turns: 1, task: true },
            3 => Self::Click { turns: rng.within(1, 4) as usize, task: false },
            _ => Self::Motion { frames: rng.within(4, 8) as usize },
        }
    }
}

/// How often all objects of a picture have one colour where several are asked for at once. A label says the colour first, and that
/// mostly tells the shape too; here only the place does.
const ONE_COLOUR: f64 = 0.5;

/// What training conversations are made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The scenes.
    pub limits: Limits,
    /// The order of captions.
    pub order: Order,
    /// How often the last turn thinks.
    pub thinking: f64,
    /// How often an earlier turn looks like one that thought: no suffix, and only the answer left.
    pub thought: f64,
    /// How often each skill comes, in their order.
    pub skills: [u32; 5],
    /// Most objects in a picture to detect in.
    pub most_detected: usize,
    /// Most objects that are asked for at once where they are to be detected. Above 1, half of these pictures have one colour.
    pub most_boxes: usize,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            order: Order::default(),
            thinking: 0.6,
            thought: 0.15,
            skills: [28, 26, 16, 16, 14],
            most_detected: 5,
            most_boxes: 5,
        }
    }
}

/// A question, its answer, and what is thought before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) question: String,
    pub(crate) answer: String,
    pub(crate) thought: String,
    /// What is asked for.
    pub(crate) asked: Asked,
}

/// What is asked for: what the model is to hear in the question, and to find in the picture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Its names.
    pub names: Vec<String>,
    /// Left, top, right and bottom of each of it, for a click its middle twice, as and in the order in which the answer says them;
    /// of what moves, which no answer says, x and y of its middle at first and at last. In pixels of the picture that the model
    /// sees, each a multiple of seven.
    pub places: Vec<[i64; 4]>,
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
    /// What is asked for.
    pub asked: Asked,
}

/// What the first turn shows before its question.
#[derive(Debug, Clone, PartialEq)]
pub enum Media {
    /// A picture.
    Picture(Picture),
    /// A video.
    Motion(Motion),
}

/// A picture or a video and the turns about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// What the first turn shows before its question.
    pub media: Media,
    /// The system line.
    pub system: &'static str,
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
    /// What is asked for, where it is a reply.
    pub asked: Asked,
}

impl Conversation {
    /// The example number `index` of `seed`, with pictures of the recipe's width and height.
    ///
    /// # Errors
    /// Those of the library for a picture that it does not take.
    pub fn random(seed: u64, index: u64, skill: Skill, recipe: &Recipe) -> Result<Self> {
        let mut rng = Random::new(seed, index);
        let mut side = |(low, high): (u32, u32)| rng.within(low as i32, high as i32) as u32;
        let size = (side(recipe.limits.width), side(recipe.limits.height));
        let mut system = SYSTEM;
        let (media, asks) = match skill {
            Skill::Ask { turns } => {
                let scene = Scene::random(&mut rng, &recipe.limits);
                let picture = draw(&scene, &mut rng);
                let asks = questions(&scene, turns, recipe, &mut rng);
                (Media::Picture(picture), asks)
            }
            Skill::Detect { turns } => {
                let mut limits = recipe.limits.clone();
                limits.objects.1 = limits.objects.1.min(recipe.most_detected);
                let mut scene = Scene::random(&mut rng, &limits);
                if recipe.most_boxes > 1 && rng.chance(ONE_COLOUR) {
                    scene.use_one_colour();
                }
                let picture = draw(&scene, &mut rng);
                let asks = detections(&scene, &picture, turns, recipe, &mut rng);
                (Media::Picture(picture), asks)
            }
            Skill::Read { lines } => {
                let reading = Reading::random(size, lines, &mut rng);
                let ask = reading.ask();
                (Media::Picture(reading.picture), vec![ask])
            }
            Skill::Click { turns, task } => {
                let mut buttons = Buttons::random(size, task, &mut rng);
                let mut asks = vec![buttons.ask(&PreprocessConfig::default())?];
                for _ in 1..turns {
                    buttons.choose(&mut rng);
                    asks.push(buttons.ask(&PreprocessConfig::default())?);
                }
                if task {
                    system = TASK_SYSTEM;
                }
                (Media::Picture(buttons.picture), asks)
            }
            Skill::Motion { frames } => {
                let motion = Motion::random(size, frames, &mut rng);
                let ask = motion.ask(&PreprocessConfig::default())?;
                (Media::Motion(motion), vec![ask])
            }
        };
        Ok(Self { media, system, turns: turns(asks, recipe, &mut rng) })
    }

    /// The conversation in the text format of the checkpoints, cut where learning starts and stops. One
    /// `<|image_pad|>` or `<|video_pad|>` stands for the picture or video, to be repeated once per token of it.
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(2 * self.turns.len());
        let mut before = format!("<|im_start|>system\n{}{IM_END}\n", self.system);
        let mut media = match self.media {
            Media::Picture(_) => "<|vision_start|><|image_pad|><|vision_end|>",
            Media::Motion(_) => "<|vision_start|><|video_pad|><|vision_end|>",
        };
        for turn in &self.turns {
            let suffix = if turn.no_think { NO_THINK } else { "" };
            before += &format!("<|im_start|>user\n{media}{}{suffix}{IM_END}\n<|im_start|>assistant\n", turn.question);
            media = "";
            pieces.push(Piece {
                text: std::mem::replace(&mut before, "\n".into()),
                learn: false,
                asked: Asked::default(),
            });
            pieces.push(Piece {
                text: format!("{}{IM_END}", turn.reply),
                learn: turn.learn,
                asked: turn.asked.clone(),
            });
        }
        pieces
    }
}

fn questions(scene: &Scene, count: usize, recipe: &Recipe, rng: &mut Random) -> Vec<Ask> {
    let ask = |question: Question| Ask {
        answer: question.answer_text(),
        thought: scene.caption(question.language, recipe.order),
        asked: Asked { names: question.subject.names(), places: Vec::new() },
        question: question.text,
    };
    scene.questions(rng, count).into_iter().map(ask).collect()
}

fn detections(scene: &Scene, picture: &Picture, count: usize, recipe: &Recipe, rng: &mut Random) -> Vec<Ask> {
    let mut ask = || {
        let language = rng.pick(&Language::ALL);
        let thought = scene.caption(language, recipe.order);
        let detection = Detection::random(scene, language, recipe.most_boxes, rng);
        detection.ask(scene, picture, thought)
    };
    (0..count).map(|_| ask()).collect()
}

fn turns(asks: Vec<Ask>, recipe: &Recipe, rng: &mut Random) -> Vec<Turn> {
    let thinks = rng.chance(recipe.thinking);
    let last = asks.len().saturating_sub(1);
    let turn = |(position, Ask { question, answer, thought, asked }): (usize, Ask)| {
        if position == last && thinks {
            Turn { question, no_think: false, reply: thinking_reply(&thought, &answer), learn: true, asked }
        } else if position < last && rng.chance(recipe.thought) {
            Turn { question, no_think: false, reply: answer, learn: false, asked }
        } else {
            Turn { question, no_think: true, reply: answer, learn: true, asked }
        }
    };
    asks.into_iter().enumerate().map(turn).collect()
}

/// Edges in a picture as pixels of the picture that the model sees.
pub(crate) fn resized(picture: &Picture, edges: [f64; 4]) -> [i64; 4] {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let pixels = TOKEN_SIDE * TOKEN_SIDE;
    let seen = smart_resize(height, width, TOKEN_SIDE, LEAST_TOKENS * pixels, MOST_TOKENS * pixels);
    let (high, wide) = seen.unwrap_or((height, width));
    let scale = [wide as f64 / width as f64, high as f64 / height as f64];
    std::array::from_fn(|index| in_steps(edges[index] * scale[index % 2]))
}

/// The nearest pixel of those that the model names: a quarter of a token apart, so that there are few numbers to learn.
pub(crate) fn in_steps(pixel: f64) -> i64 {
    let step = (TOKEN_SIDE / STEPS) as i64;
    (pixel / step as f64).round() as i64 * step
}

/// Places that have names along a token.
pub(crate) const STEPS: usize = 4;
/// Places that have names along an axis of the largest picture, both edges included.
pub const PLACES: usize = 33;

/// The system line of MiMo's chat template.
pub(crate) const SYSTEM: &str = "You are MiMo, an AI assistant developed by Xiaomi.";
/// The system line of GUI tasks.
pub(crate) const TASK_SYSTEM: &str = "You are a helpful assistant.";
/// What turns thinking off at the end of a user's message.
pub(crate) const NO_THINK: &str = " /no_think";

/// The end of a turn.
pub(crate) const IM_END: &str = "<|im_end|>";
/// What stands between thinking and answer.
pub(crate) const ANSWER: &str = "\n</think>\n\n";

/// The assistant's whole text when it thinks.
pub(crate) fn thinking_reply(caption: &str, answer: &str) -> String {
    format!("<think>\n{caption}{ANSWER}{answer}")
}
