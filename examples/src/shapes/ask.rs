//! Questions about a scene and their answers.

use super::choose::choose;
use super::phrases::phrase;
use super::random::Random;
use super::scene::{Colour, Object, Scene, Shape};
use super::words::Language;

/// What a question is about: objects of a colour, of a shape, of both, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Subject {
    /// The colour, if it matters.
    pub colour: Option<Colour>,
    /// The shape, if it matters.
    pub shape: Option<Shape>,
}

impl Subject {
    /// Whether the object is one of those asked about.
    pub fn is(&self, object: &Object) -> bool {
        self.colour.is_none_or(|colour| colour == object.colour) && self.shape.is_none_or(|shape| shape == object.shape)
    }

    /// What it is called, each part in the form that it has in an object's whole name.
    fn name(&self, language: Language) -> String {
        let shape = self.shape.map(|shape| shape.word(language));
        let joint = if language == Language::English && shape.is_some() { " " } else { "" };
        [self.colour.map_or("", |colour| colour.word(language)), joint, shape.unwrap_or("")].concat()
    }

    /// What it is called in either language; nothing for all objects.
    pub(crate) fn names(&self) -> Vec<String> {
        Language::ALL.map(|language| self.name(language)).into_iter().filter(|name| !name.is_empty()).collect()
    }
}

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// How many of a shape.
    CountShape,
    /// How many of a colour.
    CountColour,
    /// How many of a colour and shape.
    CountColouredShape,
    /// How many altogether.
    CountAll,
    /// Which colour is the only one of a shape.
    ColourOfShape,
    /// Which shape is the only one of a colour.
    ShapeOfColour,
    /// Is there one of a shape.
    HasShape,
    /// Is there one of a colour.
    HasColour,
    /// Is there one of a colour and shape.
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

/// A right answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// To how many.
    Count(usize),
    /// To which colour.
    Colour(Colour),
    /// To which shape.
    Shape(Shape),
    /// To is there: yes or no.
    Has(bool),
}

/// A question about a scene, with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The question as the user types it.
    pub text: String,
    /// The right answer.
    pub answer: Answer,
    /// What is asked for.
    pub kind: Kind,
    /// About which objects.
    pub subject: Subject,
    /// The language of question and answer.
    pub language: Language,
}

impl Question {
    /// The answer that the model learns: a word, or a number in digits in both languages.
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
    /// Its colour and shape as one name.
    pub(crate) fn name(&self, language: Language) -> String {
        Subject { colour: Some(self.colour), shape: Some(self.shape) }.name(language)
    }
}

impl Scene {
    /// How many objects the subject stands for.
    pub fn count(&self, subject: &Subject) -> usize {
        self.objects.iter().filter(|object| subject.is(object)).count()
    }

    /// `n` questions, no two of the same kind about the same objects; fewer when the scene does not give
    /// as many. Most are in one language, English or Chinese.
    pub fn questions(&self, rng: &mut Random, n: usize) -> Vec<Question> {
        let main = rng.pick(&Language::ALL);
        let mut questions: Vec<Question> = Vec::with_capacity(n);
        let mut tries = 0;
        // One at least, which every scene has: a conversation without a question is none.
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

/// Whether a text answers the question: the expected word, one with the same meaning, or the number in
/// digits or words; case, surrounding space and a final stop do not matter.
pub fn is_right(answer: &str, question: &Question) -> bool {
    let stops = ['.', '。', '!', '！', '"', '\'', '“', '”'];
    let said = answer.trim().trim_matches(|c: char| stops.contains(&c) || c.is_whitespace()).to_lowercase();
    let language = question.language;
    let names: &[&str] = match question.answer {
        Answer::Count(count) => {
            let said = said.strip_suffix('个').unwrap_or(&said);
            return said == count.to_string() || number_names(count, language).contains(&said);
        }
        Answer::Colour(colour) => colour.names(language),
        Answer::Shape(shape) => shape.names(language),
        Answer::Has(has) => yes_or_no(has, language),
    };
    let bare = said.strip_suffix('的').unwrap_or(&said);
    names.contains(&bare)
}

/// The word that answers use, then others with the same meaning.
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
