//! "Detect all red circles": boxes as JSON.

use super::ask::Subject;
use super::conversation::{Grounding, QaPair, resized_bounds};
use super::draw::AnnotatedImage;
use super::phrases::from_templates;
use super::random::Random;
use super::scene::{Colour, Object, Scene, Shape};
use super::words::Language;

const ENGLISH: &[&str] = &[
    "Detect all {n}[| {p}| from the {i}].",
    "Detect all {n} {p}.",
    "Detect [every|each] {s}[| {p}].",
    "[Find|Locate|Mark] all {n}[| {p}].",
    "[Draw|Give|Output] [|bounding ]boxes [of|around] all {n}[| {p}].",
    "Where are the {n}[| {p}]?",
];
const CHINESE: &[&str] = &[
    "检测{p}[所有|全部]{n}。",
    "检测[所有|全部]{n}。",
    "[找出|框出|定位]{p}[所有|全部]{n}。",
    "[请|]检测{p}的[所有|全部]{n}。",
    "[请|]给出{p}[所有|全部]{n}的边界框。",
    "{p}的{n}在哪里？",
];
/// Requests for the format of the answer; the first is that of the MiMo-VL cookbook.
const FORMS: [&[&str]; 2] = [
    &[
        " Output a JSON in the format [{\"bbox_2d\": [...], \"label\": \"{label_name}\"}, ...].",
        " Answer in JSON.",
        " Output the boxes as JSON.",
    ],
    &["请用 JSON 输出。", "以 JSON 格式输出。"],
];
/// Probability of a request for something that the scene does not show.
const ABSENT: f64 = 0.1;
/// Redraws of a request that asks for too many objects.
const TRIES: usize = 20;

/// A request to detect objects.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// The request as the user types it.
    pub text: String,
    /// The objects to detect, by colour and shape.
    pub subject: Subject,
    /// The language of the request and of the labels.
    pub language: Language,
    /// Indices of the objects, from left to right.
    pub objects: Vec<usize>,
}

impl Detection {
    /// Draws a request, mostly for something that the scene shows, and for at most `max_boxes` objects where that is
    /// possible.
    pub fn random(scene: &Scene, language: Language, max_boxes: usize, rng: &mut Random) -> Self {
        let absent = rng.chance(ABSENT);
        let mut draw = || {
            let present = scene.objects.get(rng.below(scene.objects.len())).filter(|_| !absent);
            let (colour, shape) =
                present.map_or_else(|| (rng.pick(&Colour::ALL), rng.pick(&Shape::ALL)), |o| (o.colour, o.shape));
            let (by_colour, by_shape) =
                [(false, false), (true, false), (false, true), (true, true)][rng.weighted(&[3, 2, 3, 3])];
            Subject { colour: by_colour.then_some(colour), shape: by_shape.then_some(shape) }
        };
        let mut subject = draw();
        for _ in 0..TRIES {
            if absent || scene.count(&subject) <= max_boxes {
                break;
            }
            subject = draw();
        }
        let (templates, forms) = match language {
            Language::English => (ENGLISH, FORMS[0]),
            Language::Chinese => (CHINESE, FORMS[1]),
        };
        let mut text = from_templates(templates, subject, language, rng);
        if text.ends_with(['.', '。', '?', '？']) && rng.chance(0.3) {
            text.push_str(rng.pick(forms));
        }
        let mut objects: Vec<usize> =
            (0..scene.objects.len()).filter(|&index| subject.includes(&scene.objects[index])).collect();
        objects.sort_by_key(|&index| (scene.objects[index].left, scene.objects[index].top));
        Self { text, subject, language, objects }
    }

    /// The label of an object in the answer.
    pub fn label(&self, object: &Object) -> String {
        object.name(self.language)
    }

    /// The request with its answer; boxes are in pixels of the resized image.
    pub(crate) fn qa_pair(&self, scene: &Scene, image: &AnnotatedImage, reasoning: String) -> QaPair {
        let boxes: Vec<_> =
            self.objects.iter().map(|&index| resized_bounds(image, image.annotations[index].bounds)).collect();
        let answer_boxes = self.objects.iter().zip(&boxes).map(|(&index, [left, top, right, bottom])| {
            let label = self.label(&scene.objects[index]);
            format!("{{\"bbox_2d\": [{left}, {top}, {right}, {bottom}], \"label\": \"{label}\"}}")
        });
        let answer = format!("[{}]", answer_boxes.collect::<Vec<_>>().join(", "));
        QaPair {
            question: self.text.clone(),
            answer,
            reasoning,
            grounding: Grounding { names: self.subject.names(), boxes },
        }
    }
}

/// Templates of this skill.
pub(crate) fn texts(language: Language) -> impl Iterator<Item = &'static str> {
    let (templates, forms) = if language == Language::English { (ENGLISH, FORMS[0]) } else { (CHINESE, FORMS[1]) };
    templates.iter().chain(forms).copied()
}
