//! How well a model detects, reads, clicks and follows what moves, on pictures it has not seen.

use mimo_vl_core::gui::Action;
use mimo_vl_core::score::{contains, iou};
use mimo_vl_core::{GenerateOptions, Geometry, Image, Model, Prompt, Result, Thinking};

use super::buttons::Buttons;
use super::detection::Detection;
use super::draw::{Picture, draw};
use super::motion::Motion;
use super::random::Random;
use super::reading::Reading;
use super::scene::{Limits, Scene};
use super::words::Language;

/// Counts over a number of pictures for each skill.
#[derive(Debug, Clone, Copy, Default)]
pub struct Skills {
    /// Pictures of each skill.
    pub asked: usize,
    /// Objects that were asked for.
    pub objects: usize,
    /// Boxes that the model gave.
    pub boxes: usize,
    /// Boxes of the right label that overlap an object, each with one of its own, and the sum of their overlaps.
    pub matched: (usize, f64),
    /// Those of them with an IoU of 0.5 or more.
    pub right_boxes: usize,
    /// Clicks inside the button.
    pub clicks: usize,
    /// Strings read without a fault.
    pub readings: usize,
    /// Directions that were right.
    pub motions: usize,
}

impl Skills {
    /// Mean intersection over union of the boxes that match an object.
    pub fn mean_iou(&self) -> f64 {
        self.matched.1 / self.matched.0.max(1) as f64
    }

    /// Harmonic mean of precision and recall of boxes at an IoU of 0.5.
    pub fn f1(&self) -> f64 {
        2.0 * self.right_boxes as f64 / (self.objects + self.boxes).max(1) as f64
    }
}

/// Ask for `count` pictures of each skill of `seed`, greedily, each in a session of its own. `wrong` hears of what was asked, what
/// was answered and what would have been right where the answer was not.
///
/// # Errors
/// Those of [`Session::ask`](mimo_vl_core::Session::ask).
pub fn measure_skills(
    model: &Model,
    seed: u64,
    count: u64,
    thinking: Thinking,
    mut wrong: impl FnMut(&str, &str, &str),
) -> Result<Skills> {
    let mut skills = Skills::default();
    let ask = |prompt: Prompt| {
        let prompt = prompt.thinking(thinking);
        model.session().ask(&prompt, &GenerateOptions::new().max_tokens(400))
    };
    for index in 0..count {
        let mut rng = Random::new(seed, index);
        skills.asked += 1;

        let limits = Limits { width: (140, 196), height: (140, 196), ..Limits::default() };
        let scene = Scene::random(&mut rng, &limits);
        let picture = draw(&scene, &mut rng);
        let detection = Detection::random(&scene, rng.pick(&Language::ALL), scene.objects.len(), &mut rng);
        let answer = ask(about(picture.image()?, &detection.text))?;
        let before = skills.right_boxes;
        skills.add_boxes(&scene, &picture, &detection, &answer.regions);
        if skills.right_boxes - before < detection.objects.len().max(answer.regions.len()) {
            wrong(&detection.text, &answer.text, &detection.ask(&scene, &picture, String::new()).answer);
        }

        let size = (rng.within(168, 196) as u32, rng.within(140, 196) as u32);
        let buttons = Buttons::random(size, index % 2 == 1, &mut rng);
        let answer = ask(buttons.prompt(model.preprocess_config())?)?;
        let action = Action::parse(&answer.text).map(|action| action.to_original(&answer.transforms[0]));
        match action {
            Ok(Action::Click { point, .. }) if contains(buttons.buttons[buttons.target], point) => skills.clicks += 1,
            _ => wrong(&buttons.text, &answer.text, &buttons.ask(model.preprocess_config())?.answer),
        }

        let size = (rng.within(196, 224) as u32, rng.within(112, 140) as u32);
        let reading = Reading::random(size, 1, &mut rng);
        let answer = ask(about(reading.picture.image()?, &reading.text))?;
        if answer.text.trim() == reading.written {
            skills.readings += 1;
        } else {
            wrong(&reading.text, &answer.text, &reading.written);
        }

        let size = (rng.within(112, 168) as u32, rng.within(112, 168) as u32);
        let frames = rng.within(4, 8) as usize;
        let motion = Motion::random(size, frames, &mut rng);
        let answer = ask(Prompt::user().video(motion.video()?).text(&motion.text))?;
        if answer.text.trim() == motion.answer_text() {
            skills.motions += 1;
        } else {
            wrong(&motion.text, &answer.text, motion.answer_text());
        }
    }
    Ok(skills)
}

fn about(image: Image, text: &str) -> Prompt {
    Prompt::user().image(image).text(text)
}

impl Skills {
    /// Give every object the box of its label that overlaps it most, of those that are still free.
    fn add_boxes(&mut self, scene: &Scene, picture: &Picture, detection: &Detection, regions: &[mimo_vl_core::Region]) {
        let mut free: Vec<_> = regions.iter().collect();
        self.boxes += free.len();
        self.objects += detection.objects.len();
        for &index in &detection.objects {
            let label = detection.label(&scene.objects[index]);
            let overlaps = free.iter().enumerate().filter_map(|(position, region)| match &region.geometry {
                Geometry::Box(found) if region.label.as_ref() == Some(&label) => {
                    Some((position, iou(found.pixels, picture.marks[index].edges)))
                }
                _ => None,
            });
            let best = overlaps.filter(|&(_, overlap)| overlap > 0.0).max_by(|a, b| a.1.total_cmp(&b.1));
            if let Some((position, overlap)) = best {
                free.swap_remove(position);
                self.matched = (self.matched.0 + 1, self.matched.1 + overlap);
                self.right_boxes += usize::from(overlap >= 0.5);
            }
        }
    }
}
