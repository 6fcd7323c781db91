//! Training conversations: an image or a video, and one or several questions about it.

use mimo_vl_core::Result;
use mimo_vl_core::expert::{PreprocessConfig, smart_resize};

use super::ask::Question;
use super::buttons::ButtonScreen;
use super::caption::Order;
use super::checkpoint::{MAX_TOKENS, MIN_TOKENS, TOKEN_SIDE};
use super::detection::Detection;
use super::draw::{AnnotatedImage, draw};
use super::motion::MotionVideo;
use super::random::Random;
use super::reading::TextImage;
use super::scene::{Limits, Scene};
use super::words::Language;

/// Subject and form of a training conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skill {
    /// Questions about shapes.
    Questions {
        /// Number of questions.
        exchanges: usize,
    },
    /// Boxes of shapes.
    Detect {
        /// Number of questions.
        exchanges: usize,
    },
    /// Reading characters.
    Read {
        /// Largest number of lines.
        lines: usize,
    },
    /// Clicking buttons.
    Click {
        /// Number of questions.
        exchanges: usize,
        /// True for a GUI task, false for a plain request.
        task: bool,
    },
    /// Telling the direction in which something moves.
    Track {
        /// Frames of the video.
        frames: usize,
    },
}

impl Skill {
    /// Draws a skill; `weights` are in the order of the variants.
    #[cfg(feature = "train")]
    pub(crate) fn random(weights: &[u32; 5], rng: &mut Random) -> Self {
        match rng.weighted(weights) {
            0 => Self::Questions { exchanges: rng.within(1, 4) as usize },
            1 => Self::Detect { exchanges: rng.within(1, 3) as usize },
            2 => Self::Read { lines: rng.within(1, 5) as usize },
            3 if rng.chance(0.3) => Self::Click { exchanges: 1, task: true },
            3 => Self::Click { exchanges: rng.within(1, 4) as usize, task: false },
            _ => Self::Track { frames: rng.within(4, 8) as usize },
        }
    }
}

/// Probability that all objects of an image to detect several in have one colour. The colour, which a label starts
/// with, mostly determines the shape as well; with one colour only the position does.
const ONE_COLOUR: f64 = 0.5;

/// Distribution of training conversations.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Ranges of the scenes.
    pub limits: Limits,
    /// Order of captions.
    pub order: Order,
    /// Probability that the last answer thinks.
    pub thinking: f64,
    /// Probability that an earlier answer had its thinking removed: no suffix, and only the answer left.
    pub stripped_thinking: f64,
    /// Weight of each skill, in the order of [`Skill`].
    pub skill_weights: [u32; 5],
    /// Largest number of objects in an image to detect in.
    pub max_objects: usize,
    /// Largest number of objects to detect at once. Above 1, half of these images have one colour.
    pub max_boxes: usize,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            order: Order::default(),
            thinking: 0.6,
            stripped_thinking: 0.15,
            skill_weights: [28, 26, 16, 16, 14],
            max_objects: 5,
            max_boxes: 5,
        }
    }
}

/// A question with the reasoning before its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QaPair {
    pub(crate) question: String,
    pub(crate) answer: String,
    pub(crate) reasoning: String,
    pub(crate) grounding: Grounding,
}

/// The objects that a question is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grounding {
    /// Names of the objects.
    pub names: Vec<String>,
    /// Left, top, right and bottom of each object, in the order of the answer; for a click the center of the button,
    /// twice; for a movement, of which the answer says no coordinates, first and last center. In pixels of the resized
    /// image, each a multiple of seven.
    pub boxes: Vec<[i64; 4]>,
}

/// A user message and the reference answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Text of the user message, without the suffix that turns thinking off.
    pub question: String,
    /// True when the user message ends with ` /no_think`.
    pub no_think: bool,
    /// Text of the assistant message, thinking included, without `<|im_end|>`.
    pub response: String,
    /// True when the answer enters the loss. It does not where its thinking was removed.
    pub is_target: bool,
    /// The objects that the question is about.
    pub grounding: Grounding,
}

/// The media item of a conversation, before the first question.
#[derive(Debug, Clone, PartialEq)]
pub enum Media {
    /// An image.
    Image(AnnotatedImage),
    /// A video.
    Video(MotionVideo),
}

/// An image or a video and the questions about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// The media item of a conversation, before the first question.
    pub media: Media,
    /// The system message.
    pub system: &'static str,
    /// Questions and answers in order; only the last answer can contain thinking, as a chat template removes that of
    /// earlier ones.
    pub exchanges: Vec<Exchange>,
}

/// A part of a conversation as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The text, special tokens spelled out. Segments tokenized alone give the same ids as their concatenation.
    pub text: String,
    /// True when the tokens enter the loss.
    pub is_target: bool,
    /// The objects that the question is about, for an answer.
    pub grounding: Grounding,
}

impl Conversation {
    /// Draws example number `index` of `seed`.
    ///
    /// # Errors
    /// Those of [`Task::prompt`](mimo_vl_core::gui::Task::prompt) and [`MotionVideo::video`].
    pub fn random(seed: u64, index: u64, skill: Skill, recipe: &Recipe) -> Result<Self> {
        let mut rng = Random::new(seed, index);
        let mut side = |(low, high): (u32, u32)| rng.within(low as i32, high as i32) as u32;
        let size = (side(recipe.limits.width), side(recipe.limits.height));
        let mut system = SYSTEM;
        let (media, pairs) = match skill {
            Skill::Questions { exchanges } => {
                let scene = Scene::random(&mut rng, &recipe.limits);
                let image = draw(&scene, &mut rng);
                let pairs = questions(&scene, exchanges, recipe, &mut rng);
                (Media::Image(image), pairs)
            }
            Skill::Detect { exchanges } => {
                let mut limits = recipe.limits.clone();
                limits.objects.1 = limits.objects.1.min(recipe.max_objects);
                let mut scene = Scene::random(&mut rng, &limits);
                if recipe.max_boxes > 1 && rng.chance(ONE_COLOUR) {
                    scene.use_one_colour();
                }
                let image = draw(&scene, &mut rng);
                let pairs = detections(&scene, &image, exchanges, recipe, &mut rng);
                (Media::Image(image), pairs)
            }
            Skill::Read { lines } => {
                let reading = TextImage::random(size, lines, &mut rng);
                let pair = reading.qa_pair();
                (Media::Image(reading.image), vec![pair])
            }
            Skill::Click { exchanges, task } => {
                let mut buttons = ButtonScreen::random(size, task, &mut rng);
                let mut pairs = vec![buttons.qa_pair(&PreprocessConfig::default())?];
                for _ in 1..exchanges {
                    buttons.choose(&mut rng);
                    pairs.push(buttons.qa_pair(&PreprocessConfig::default())?);
                }
                if task {
                    system = TASK_SYSTEM;
                }
                (Media::Image(buttons.image), pairs)
            }
            Skill::Track { frames } => {
                let motion = MotionVideo::random(size, frames, &mut rng);
                let pair = motion.qa_pair(&PreprocessConfig::default())?;
                (Media::Video(motion), vec![pair])
            }
        };
        Ok(Self { media, system, exchanges: exchanges(pairs, recipe, &mut rng) })
    }

    /// Renders the conversation in the chat format of the checkpoints, split where targets start and end. One
    /// `<|image_pad|>` or `<|video_pad|>` stands for the media item, to be repeated once per token of it.
    pub fn segments(&self) -> Vec<Segment> {
        let mut segments = Vec::with_capacity(2 * self.exchanges.len());
        let mut prompt = format!("<|im_start|>system\n{}{IM_END}\n", self.system);
        let mut media = match self.media {
            Media::Image(_) => "<|vision_start|><|image_pad|><|vision_end|>",
            Media::Video(_) => "<|vision_start|><|video_pad|><|vision_end|>",
        };
        for exchange in &self.exchanges {
            let suffix = if exchange.no_think { NO_THINK } else { "" };
            prompt +=
                &format!("<|im_start|>user\n{media}{}{suffix}{IM_END}\n<|im_start|>assistant\n", exchange.question);
            media = "";
            segments.push(Segment {
                text: std::mem::replace(&mut prompt, "\n".into()),
                is_target: false,
                grounding: Grounding::default(),
            });
            segments.push(Segment {
                text: format!("{}{IM_END}", exchange.response),
                is_target: exchange.is_target,
                grounding: exchange.grounding.clone(),
            });
        }
        segments
    }
}

fn questions(scene: &Scene, count: usize, recipe: &Recipe, rng: &mut Random) -> Vec<QaPair> {
    let pair = |question: Question| QaPair {
        answer: question.answer_text(),
        reasoning: scene.caption(question.language, recipe.order),
        grounding: Grounding { names: question.subject.names(), boxes: Vec::new() },
        question: question.text,
    };
    scene.questions(rng, count).into_iter().map(pair).collect()
}

fn detections(scene: &Scene, image: &AnnotatedImage, count: usize, recipe: &Recipe, rng: &mut Random) -> Vec<QaPair> {
    let mut pair = || {
        let language = rng.pick(&Language::ALL);
        let reasoning = scene.caption(language, recipe.order);
        let detection = Detection::random(scene, language, recipe.max_boxes, rng);
        detection.qa_pair(scene, image, reasoning)
    };
    (0..count).map(|_| pair()).collect()
}

fn exchanges(pairs: Vec<QaPair>, recipe: &Recipe, rng: &mut Random) -> Vec<Exchange> {
    let thinks = rng.chance(recipe.thinking);
    let last = pairs.len().saturating_sub(1);
    let exchange = |(position, QaPair { question, answer, reasoning, grounding }): (usize, QaPair)| {
        if position == last && thinks {
            Exchange {
                question,
                no_think: false,
                response: thinking_response(&reasoning, &answer),
                is_target: true,
                grounding,
            }
        } else if position < last && rng.chance(recipe.stripped_thinking) {
            Exchange { question, no_think: false, response: answer, is_target: false, grounding }
        } else {
            Exchange { question, no_think: true, response: answer, is_target: true, grounding }
        }
    };
    pairs.into_iter().enumerate().map(exchange).collect()
}

/// Scales bounds to the resized image, rounded to coordinate bins.
pub(crate) fn resized_bounds(image: &AnnotatedImage, bounds: [f64; 4]) -> [i64; 4] {
    let (width, height) = (image.width as usize, image.height as usize);
    let pixels = TOKEN_SIDE * TOKEN_SIDE;
    let size = smart_resize(height, width, TOKEN_SIDE, MIN_TOKENS * pixels, MAX_TOKENS * pixels);
    let (resized_height, resized_width) = size.unwrap_or((height, width));
    let scale = [resized_width as f64 / width as f64, resized_height as f64 / height as f64];
    std::array::from_fn(|index| to_bin_edge(bounds[index] * scale[index % 2]))
}

/// Rounds to the nearest pixel of a coordinate bin: bins are a quarter of a token apart, so that few numbers exist.
pub(crate) fn to_bin_edge(pixel: f64) -> i64 {
    let step = (TOKEN_SIDE / BINS_PER_TOKEN) as i64;
    (pixel / step as f64).round() as i64 * step
}

/// Coordinate bins per token, along an axis.
pub(crate) const BINS_PER_TOKEN: usize = 4;
/// Coordinate bins along an axis of the largest image, both edges included.
pub const COORDINATE_BINS: usize = 33;

/// System message of MiMo's chat template.
pub(crate) const SYSTEM: &str = "You are MiMo, an AI assistant developed by Xiaomi.";
/// System message of GUI tasks.
pub(crate) const TASK_SYSTEM: &str = "You are a helpful assistant.";
/// Suffix of a user message that turns thinking off.
pub(crate) const NO_THINK: &str = " /no_think";

/// End of a message.
pub(crate) const IM_END: &str = "<|im_end|>";
/// Text between thinking and answer.
pub(crate) const THINK_END: &str = "\n</think>\n\n";

/// Text of an assistant message with thinking.
pub(crate) fn thinking_response(caption: &str, answer: &str) -> String {
    format!("<think>\n{caption}{THINK_END}{answer}")
}
