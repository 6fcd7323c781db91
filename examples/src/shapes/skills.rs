//! Evaluation of detection, clicks, reading and motion on images that the model was not trained on.

use mimo_vl_core::gui::Action;
use mimo_vl_core::score::{contains, iou};
use mimo_vl_core::{GenerateOptions, Geometry, Image, Model, Prompt, Result, Thinking};

use super::buttons::ButtonScreen;
use super::detection::Detection;
use super::draw::{AnnotatedImage, draw};
use super::motion::MotionVideo;
use super::random::Random;
use super::reading::TextImage;
use super::scene::{Limits, Scene};
use super::words::Language;

/// Counts over images of each skill.
#[derive(Debug, Clone, Copy, Default)]
pub struct SkillScores {
    /// Images of each skill.
    pub asked: usize,
    /// Objects to detect.
    pub objects: usize,
    /// Boxes in the answers.
    pub boxes: usize,
    /// Boxes with the label of an object that they overlap, one per object.
    pub matched_boxes: usize,
    /// Sum of the intersection over union of the matched boxes.
    pub iou_sum: f64,
    /// Matched boxes with an intersection over union of at least 0.5.
    pub correct_boxes: usize,
    /// Clicks inside the button.
    pub clicks: usize,
    /// Texts read without an error.
    pub readings: usize,
    /// Correct directions.
    pub motions: usize,
}

impl SkillScores {
    /// Mean intersection over union of the matched boxes; 0 without any.
    pub fn mean_iou(&self) -> f64 {
        self.iou_sum / self.matched_boxes.max(1) as f64
    }

    /// F1 score of the boxes at an intersection over union of 0.5.
    pub fn f1(&self) -> f64 {
        2.0 * self.correct_boxes as f64 / (self.objects + self.boxes).max(1) as f64
    }
}

/// Evaluates `count` images of each skill of `seed`, with greedy decoding and a new session each. `on_error` gets
/// question, answer and reference answer of every wrong answer.
///
/// # Errors
/// Those of [`Session::ask`](mimo_vl_core::Session::ask).
pub fn evaluate_skills(
    model: &Model,
    seed: u64,
    count: u64,
    thinking: Thinking,
    mut on_error: impl FnMut(&str, &str, &str),
) -> Result<SkillScores> {
    let mut skills = SkillScores::default();
    let ask = |prompt: Prompt| {
        let prompt = prompt.thinking(thinking);
        model.session().ask(&prompt, &GenerateOptions::new().max_tokens(400))
    };
    for index in 0..count {
        let mut rng = Random::new(seed, index);
        skills.asked += 1;

        let limits = Limits { width: (140, 196), height: (140, 196), ..Limits::default() };
        let scene = Scene::random(&mut rng, &limits);
        let image = draw(&scene, &mut rng);
        let detection = Detection::random(&scene, rng.pick(&Language::ALL), scene.objects.len(), &mut rng);
        let answer = ask(about(image.to_image()?, &detection.text))?;
        let before = skills.correct_boxes;
        skills.add_boxes(&scene, &image, &detection, &answer.regions);
        if skills.correct_boxes - before < detection.objects.len().max(answer.regions.len()) {
            on_error(&detection.text, &answer.text, &detection.qa_pair(&scene, &image, String::new()).answer);
        }

        let size = (rng.within(168, 196) as u32, rng.within(140, 196) as u32);
        let buttons = ButtonScreen::random(size, index % 2 == 1, &mut rng);
        let answer = ask(buttons.prompt(model.preprocess_config())?)?;
        let action = Action::parse(&answer.text).map(|action| action.to_original(&answer.transforms[0]));
        match action {
            Ok(Action::Click { point, .. }) if contains(buttons.buttons[buttons.target], point) => skills.clicks += 1,
            _ => on_error(&buttons.text, &answer.text, &buttons.qa_pair(model.preprocess_config())?.answer),
        }

        let size = (rng.within(196, 224) as u32, rng.within(112, 140) as u32);
        let reading = TextImage::random(size, 1, &mut rng);
        let answer = ask(about(reading.image.to_image()?, &reading.text))?;
        if answer.text.trim() == reading.transcript {
            skills.readings += 1;
        } else {
            on_error(&reading.text, &answer.text, &reading.transcript);
        }

        let size = (rng.within(112, 168) as u32, rng.within(112, 168) as u32);
        let frames = rng.within(4, 8) as usize;
        let motion = MotionVideo::random(size, frames, &mut rng);
        let answer = ask(Prompt::user().video(motion.video()?).text(&motion.text))?;
        if answer.text.trim() == motion.answer_text() {
            skills.motions += 1;
        } else {
            on_error(&motion.text, &answer.text, motion.answer_text());
        }
    }
    Ok(skills)
}

fn about(image: Image, text: &str) -> Prompt {
    Prompt::user().image(image).text(text)
}

impl SkillScores {
    /// Matches every object, in order, with the free box of its label that overlaps it most.
    fn add_boxes(
        &mut self,
        scene: &Scene,
        image: &AnnotatedImage,
        detection: &Detection,
        regions: &[mimo_vl_core::Region],
    ) {
        let mut unmatched: Vec<_> = regions.iter().collect();
        self.boxes += unmatched.len();
        self.objects += detection.objects.len();
        for &index in &detection.objects {
            let label = detection.label(&scene.objects[index]);
            let overlaps = unmatched.iter().enumerate().filter_map(|(position, region)| match &region.geometry {
                Geometry::Box(found) if region.label.as_ref() == Some(&label) => {
                    Some((position, iou(found.pixels, image.annotations[index].bounds)))
                }
                _ => None,
            });
            let best = overlaps.filter(|&(_, overlap)| overlap > 0.0).max_by(|a, b| a.1.total_cmp(&b.1));
            if let Some((position, overlap)) = best {
                unmatched.swap_remove(position);
                self.matched_boxes += 1;
                self.iou_sum += overlap;
                self.correct_boxes += usize::from(overlap >= 0.5);
            }
        }
    }
}
