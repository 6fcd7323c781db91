//! "Which way does the circle move?": short videos.

use mimo_vl_core::expert::{PreprocessConfig, video_layout};
use mimo_vl_core::gui::Direction;
use mimo_vl_core::{Result, Video};

use super::ask::Subject;
use super::checkpoint::TOKEN_SIDE;
use super::conversation::{Grounding, QaPair, to_bin_edge};
use super::draw::{AnnotatedImage, draw};
use super::phrases::from_templates;
use super::random::Random;
use super::scene::{Colour, Object, Scene, Shape};
use super::words::Language;

const ENGLISH: &[&str] = &[
    "Which way does the {s} move?",
    "Which way is the {s} moving?",
    "[In which|In what] direction [does the {s} move|is the {s} moving]?",
    "[Where|Where to] does the {s} [go|move]?",
    "[Tell me|Say] [which way|in which direction] the {s} moves.",
];
const CHINESE: &[&str] = &[
    "{n}[向|往][哪个方向|哪边|哪里][移动|运动|走]？",
    "{n}的[运动|移动]方向是什么？",
    "[请|]说出{n}的[运动|移动]方向。",
    "视频[中|里]{n}[向|往][哪个方向|哪边][移动|运动]？",
];
/// Largest number of pixels of a frame in training; set the same limit at inference.
pub const FRAME_PIXELS: u32 = 36 * 28 * 28;

/// A video in which one object moves, and a question for the direction.
#[derive(Debug, Clone, PartialEq)]
pub struct MotionVideo {
    /// Frames.
    pub frames: Vec<AnnotatedImage>,
    /// Frames per second.
    pub fps: f64,
    /// The question as the user types it.
    pub text: String,
    /// Language of question and answer.
    pub language: Language,
    /// Direction of the movement.
    pub direction: Direction,
    /// The moving object, as the question names it.
    subject: Subject,
    reasoning: String,
}

impl MotionVideo {
    /// Draws a video of `frames` frames, at least 2, of this width and height, of at least 112 by 112 pixels.
    pub fn random((width, height): (u32, u32), frames: usize, rng: &mut Random) -> Self {
        let language = rng.pick(&Language::ALL);
        let direction = rng.pick(&Direction::ALL);
        let size = rng.within(24, 44) as u32;
        let across = matches!(direction, Direction::Left | Direction::Right);
        let (along, beside) = if across { (width, height) } else { (height, width) };
        let room = along - size;
        let way = rng.within(28.max(room as i32 / 3), room as i32) as u32;
        let (start, lane) =
            (rng.below((room - way + 1) as usize) as u32, rng.below((beside - size + 1) as usize) as u32);
        let kind = (rng.pick(&Colour::ALL), rng.pick(&Shape::ALL));
        let moving = |along: u32| {
            let (left, top) = if across { (along, lane) } else { (lane, along) };
            Object { colour: kind.0, shape: kind.1, left, top, size }
        };
        let mut scene = Scene { width, height, objects: vec![moving(start)] };
        if rng.chance(0.4) {
            scene.objects.extend(still_object(&scene, (start, start + way + size), across, lane, rng));
        }
        let forward = matches!(direction, Direction::Right | Direction::Down);
        // Object and background look the same in every frame, as each is drawn from the same random numbers.
        let look = rng.clone();
        let images = (0..frames).map(|frame| {
            let done = way * frame as u32 / (frames as u32 - 1);
            scene.objects[0] = moving(if forward { start + done } else { start + way - done });
            draw(&scene, &mut look.clone())
        });
        let frames = images.collect();
        let fps = rng.pick(&[1.0, 2.0, 2.0, 4.0]);
        let by = [(true, true), (true, false), (false, true)][rng.below(3)];
        let subject = Subject { colour: by.0.then_some(kind.0), shape: by.1.then_some(kind.1) };
        let templates = if language == Language::English { ENGLISH } else { CHINESE };
        let text = from_templates(templates, subject, language, rng);
        Self { frames, fps, text, language, direction, subject, reasoning: scene.caption(language, Default::default()) }
    }

    /// Converts to a video of the library, with the size limit of training.
    ///
    /// # Errors
    /// Those of [`Video::from_frames`].
    pub fn video(&self) -> Result<Video> {
        let frames = self.frames.iter().map(AnnotatedImage::to_image).collect::<Result<_>>()?;
        Ok(Video::from_frames(frames, self.fps)?.max_pixels(FRAME_PIXELS))
    }

    /// The answer: one word.
    pub fn answer_text(&self) -> &'static str {
        word(self.direction, self.language)
    }

    /// Center of the moving object, x and y in the first frame and in the first frame of the last temporal patch, in
    /// pixels of the resized frames, rounded to coordinate bins.
    fn endpoints(&self, config: &PreprocessConfig) -> Result<[i64; 4]> {
        let grid = video_layout(&self.video()?, config)?.grid;
        let (first, last) = (&self.frames[0], &self.frames[(self.frames.len() - 1) / 2 * 2]);
        let seen = [(grid.w, first.width), (grid.h, first.height)];
        let scale = seen.map(|(patches, side)| (patches * TOKEN_SIDE / 2) as f64 / f64::from(side));
        Ok(std::array::from_fn(|index| {
            let bounds = if index < 2 { first } else { last }.annotations[0].bounds;
            to_bin_edge((bounds[index % 2] + bounds[index % 2 + 2]) / 2.0 * scale[index % 2])
        }))
    }

    pub(crate) fn qa_pair(&self, config: &PreprocessConfig) -> Result<QaPair> {
        let grounding = Grounding { names: self.subject.names(), boxes: vec![self.endpoints(config)?] };
        let (question, answer, reasoning) = (self.text.clone(), self.answer_text().into(), self.reasoning.clone());
        Ok(QaPair { question, answer, reasoning, grounding })
    }
}

/// An object of another colour and shape, outside the path of the moving one.
fn still_object(scene: &Scene, (from, to): (u32, u32), across: bool, lane: u32, rng: &mut Random) -> Option<Object> {
    let first = scene.objects[0];
    let size = rng.within(24, 40) as u32;
    for _ in 0..40 {
        let (colour, shape) = (rng.pick(&Colour::ALL), rng.pick(&Shape::ALL));
        let left = rng.below((scene.width - size + 1) as usize) as u32;
        let top = rng.below((scene.height - size + 1) as usize) as u32;
        let (along, beside) = if across { (left, top) } else { (top, left) };
        let apart =
            along + size + 2 <= from || to + 2 <= along || beside + size + 2 <= lane || lane + first.size + 2 <= beside;
        if apart && colour != first.colour && shape != first.shape {
            return Some(Object { colour, shape, left, top, size });
        }
    }
    None
}

/// The word for a direction.
pub(crate) fn word(direction: Direction, language: Language) -> &'static str {
    let [english, chinese] = match direction {
        Direction::Left => ["left", "左"],
        Direction::Right => ["right", "右"],
        Direction::Up => ["up", "上"],
        Direction::Down => ["down", "下"],
    };
    if language == Language::English { english } else { chinese }
}

/// Templates and answers of this skill.
pub(crate) fn texts(language: Language) -> impl Iterator<Item = &'static str> {
    let templates = if language == Language::English { ENGLISH } else { CHINESE };
    templates.iter().copied().chain(Direction::ALL.map(|direction| word(direction, language)))
}
