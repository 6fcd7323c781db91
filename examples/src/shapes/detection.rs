//! "Detect all red circles": boxes as JSON.

use super::ask::Subject;
use super::conversation::{Ask, Asked, resized};
use super::draw::Picture;
use super::phrases::worded;
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
/// The form of the answer, in the words of the authors' notebook among others.
const FORMS: [&[&str]; 2] = [
    &[
        " Output a JSON in the format [{\"bbox_2d\": [...], \"label\": \"{label_name}\"}, ...].",
        " Answer in JSON.",
        " Output the boxes as JSON.",
    ],
    &["请用 JSON 输出。", "以 JSON 格式输出。"],
];
/// How often a scene is searched for what it does not show.
const ABSENT: f64 = 0.1;
/// How often another request is drawn that asks for fewer objects.
const TRIES: usize = 20;

/// A request to detect objects, with those that it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// The request as the user types it.
    pub text: String,
    /// What is to be detected.
    pub subject: Subject,
    /// The language of the request and of the labels.
    pub language: Language,
    /// Indices of the objects, from left to right.
    pub objects: Vec<usize>,
}

impl Detection {
    /// A request about the scene, mostly for something that it shows, and for at most so many objects where it shows something
    /// that there are so few of.
    pub fn random(scene: &Scene, language: Language, most: usize, rng: &mut Random) -> Self {
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
            if absent || scene.count(&subject) <= most {
                break;
            }
            subject = draw();
        }
        let (templates, forms) = match language {
            Language::English => (ENGLISH, FORMS[0]),
            Language::Chinese => (CHINESE, FORMS[1]),
        };
        let mut text = worded(templates, subject, language, rng);
        if text.ends_with(['.', '。', '?', '？']) && rng.chance(0.3) {
            text.push_str(rng.pick(forms));
        }
        let mut objects: Vec<usize> =
            (0..scene.objects.len()).filter(|&index| subject.is(&scene.objects[index])).collect();
        objects.sort_by_key(|&index| (scene.objects[index].left, scene.objects[index].top));
        Self { text, subject, language, objects }
    }

    /// The name that the answer gives to an object.
    pub fn label(&self, object: &Object) -> String {
        object.name(self.language)
    }

    /// The request and its answer about the scene as it was drawn; boxes are in pixels of the picture that the model sees.
    pub(crate) fn ask(&self, scene: &Scene, picture: &Picture, thought: String) -> Ask {
        let places: Vec<_> = self.objects.iter().map(|&index| resized(picture, picture.marks[index].edges)).collect();
        let boxes = self.objects.iter().zip(&places).map(|(&index, [left, top, right, bottom])| {
            let label = self.label(&scene.objects[index]);
            format!("{{\"bbox_2d\": [{left}, {top}, {right}, {bottom}], \"label\": \"{label}\"}}")
        });
        let answer = format!("[{}]", boxes.collect::<Vec<_>>().join(", "));
        Ask { question: self.text.clone(), answer, thought, asked: Asked { names: self.subject.names(), places } }
    }
}

/// All text of this skill but what is filled in.
pub(crate) fn texts(language: Language) -> impl Iterator<Item = &'static str> {
    let (templates, forms) = if language == Language::English { (ENGLISH, FORMS[0]) } else { (CHINESE, FORMS[1]) };
    templates.iter().chain(forms).copied()
}
