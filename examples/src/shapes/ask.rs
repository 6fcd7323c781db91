//! Questions about a scene and their answers.

use super::choose::choose;
use super::phrases::phrase;
use super::random::Random;
use super::scene::{Colour, Object, Scene, Shape};
use super::words::Language;

/// The objects that a question is about: those of a colour, of a shape, of both, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Subject {
    /// Colour of the objects; `None` for any.
    pub colour: Option<Colour>,
    /// Shape of the objects; `None` for any.
    pub shape: Option<Shape>,
}

impl Subject {
    /// True for an object that the question is about.
    pub fn includes(&self, object: &Object) -> bool {
        self.colour.is_none_or(|colour| colour == object.colour) && self.shape.is_none_or(|shape| shape == object.shape)
    }

    /// Name of the objects, each part as in the full name of an object.
    fn name(&self, language: Language) -> String {
        let shape = self.shape.map(|shape| shape.word(language));
        let joint = if language == Language::English && shape.is_some() { " " } else { "" };
        [self.colour.map_or("", |colour| colour.word(language)), joint, shape.unwrap_or("")].concat()
    }

    /// Names in both languages; none for all objects.
    pub(crate) fn names(&self) -> Vec<String> {
        Language::ALL.map(|language| self.name(language)).into_iter().filter(|name| !name.is_empty()).collect()
    }
}

/// Kinds of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Number of objects of a shape.
    CountShape,
    /// Number of objects of a colour.
    CountColour,
    /// Number of objects of a colour and shape.
    CountColouredShape,
    /// Number of all objects.
    CountAll,
    /// Colour of the only object of a shape.
    ColourOfShape,
    /// Shape of the only object of a colour.
    ShapeOfColour,
    /// Presence of a shape.
    HasShape,
    /// Presence of a colour.
    HasColour,
    /// Presence of a colour and shape.
    HasColouredShape,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Self; 9] = [
        Self::CountShape,
        Self::CountColour,
        Self::CountColouredShape,
        Self::CountAll,
        Self::ColourOfShape,
        Self::ShapeOfColour,
        Self::HasShape,
        Self::HasColour,
        Self::HasColouredShape,
    ];
}

/// A reference answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A count.
    Count(usize),
    /// A colour.
    Colour(Colour),
    /// A shape.
    Shape(Shape),
    /// Presence: yes or no.
    Has(bool),
}

/// A question about a scene, with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Text of the question.
    pub text: String,
    /// Reference answer.
    pub answer: Answer,
    /// Kind of the question.
    pub kind: Kind,
    /// The objects that it is about.
    pub subject: Subject,
    /// The language of question and answer.
    pub language: Language,
}

impl Question {
    /// Text of the reference answer: a word, or a number in digits.
    pub fn answer_text(&self) -> String {
        match self.answer {
            Answer::Count(count) => count.to_string(),
            Answer::Colour(colour) => colour.word(self.language).into(),
            Answer::Shape(shape) => shape.word(self.language).into(),
            Answer::Has(has) => yes_or_no(has, self.language)[0].into(),
        }
    }
}

impl Object {
    /// Name of colour and shape.
    pub(crate) fn name(&self, language: Language) -> String {
        Subject { colour: Some(self.colour), shape: Some(self.shape) }.name(language)
    }
}

impl Scene {
    /// Number of objects that `subject` includes.
    pub fn count(&self, subject: &Subject) -> usize {
        self.objects.iter().filter(|object| subject.includes(object)).count()
    }

    /// Draws up to `n` questions, no two of the same kind and subject; most are in one language. There may be fewer
    /// where the scene has not as many.
    pub fn questions(&self, rng: &mut Random, n: usize) -> Vec<Question> {
        let main = rng.pick(&Language::ALL);
        let mut questions: Vec<Question> = Vec::with_capacity(n);
        let mut tries = 0;
        // Every scene has at least one question, and a conversation needs one.
        while questions.len() < n && (tries < 8 * n || questions.is_empty()) {
            tries += 1;
            let language = if rng.chance(0.2) { rng.pick(&Language::ALL) } else { main };
            let Some((kind, subject, answer)) = choose(self, rng) else { continue };
            if questions.iter().any(|other| (other.kind, other.subject) == (kind, subject)) {
                continue;
            }
            let text = phrase(kind, subject, language, rng);
            questions.push(Question { text, answer, kind, subject, language });
        }
        questions
    }
}

/// True when a text answers the question: with the expected word, a synonym, or the number in digits or words. Case,
/// surrounding space and final punctuation are ignored.
pub fn is_correct(answer: &str, question: &Question) -> bool {
    let stops = ['.', '。', '!', '！', '"', '\'', '“', '”'];
    let text = answer.trim().trim_matches(|c: char| stops.contains(&c) || c.is_whitespace()).to_lowercase();
    let language = question.language;
    let names: &[&str] = match question.answer {
        Answer::Count(count) => {
            let text = text.strip_suffix('个').unwrap_or(&text);
            return text == count.to_string() || number_names(count, language).contains(&text);
        }
        Answer::Colour(colour) => colour.names(language),
        Answer::Shape(shape) => shape.names(language),
        Answer::Has(has) => yes_or_no(has, language),
    };
    let bare = text.strip_suffix('的').unwrap_or(&text);
    names.contains(&bare)
}

/// The word that answers use, then its synonyms.
pub(crate) fn yes_or_no(has: bool, language: Language) -> &'static [&'static str] {
    match (language, has) {
        (Language::English, true) => &["yes", "true"],
        (Language::English, false) => &["no", "false"],
        (Language::Chinese, true) => &["有", "是", "是的", "有的"],
        (Language::Chinese, false) => &["没有", "否", "不是", "没", "无"],
    }
}

fn number_names(count: usize, language: Language) -> &'static [&'static str] {
    match (language, count) {
        (Language::English, 0) => &["zero", "none", "no"],
        (Language::English, 1) => &["one"],
        (Language::English, 2) => &["two"],
        (Language::English, 3) => &["three"],
        (Language::English, 4) => &["four"],
        (Language::English, 5) => &["five"],
        (Language::Chinese, 0) => &["零", "没有"],
        (Language::Chinese, 1) => &["一"],
        (Language::Chinese, 2) => &["二", "两"],
        (Language::Chinese, 3) => &["三"],
        (Language::Chinese, 4) => &["四"],
        (Language::Chinese, 5) => &["五"],
        _ => &[],
    }
}
