//! Reading digits and capital letters.

use super::ask::Subject;
use super::backdrop::backdrop;
use super::conversation::Ask;
use super::draw::{Mark, Picture};
use super::kinds;
use super::lettering::{HEIGHT, width, write};
use super::palette::shade;
use super::phrases::worded;
use super::random::Random;
use super::scene::Colour;
use super::words::Language;

/// What can be read.
pub(crate) const CHARACTERS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Colours that stand out from a light background.
const INKS: [Colour; 5] = [Colour::Black, Colour::Black, Colour::Red, Colour::Blue, Colour::Purple];

const ENGLISH: &[&str] = &[
    "What does the {i} say?",
    "[Read|Write down|Give] the [text|characters|letters and digits][| {p}].",
    "What is [written|the text][| {p}]?",
    "[What|Which] [text|characters] can you [read|see][| {p}]?",
    "OCR the {i}.",
    "Read the {i}.",
];
const CHINESE: &[&str] = &[
    "{p}[写的|写]是什么？",
    "[请|]读出{p}的[文字|字符|内容]。",
    "{p}的[文字|字符|内容]是什么？",
    "OCR {p}文字",
    "[识别|读出]{p}的文字。",
    "{p}写了什么？",
];

/// A picture of a line of characters, and a request to read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The picture.
    pub picture: Picture,
    /// The request as the user types it.
    pub text: String,
    /// What is written there: 3 to 8 digits or capital letters.
    pub written: String,
}

impl Reading {
    /// A reading in a picture of this width and height, of at least 144 by 48 pixels.
    pub fn random((wide, high): (u32, u32), rng: &mut Random) -> Self {
        let language = rng.pick(&Language::ALL);
        let set = [&CHARACTERS[..10], &CHARACTERS[10..], &CHARACTERS[..]][rng.below(3)];
        let written: String = (0..rng.within(3, 8)).map(|_| char::from(rng.pick(set))).collect();
        let mut picture = backdrop(wide, high, rng);
        let most = ((wide - 8) / width(&written)).min((high - 8) / HEIGHT).clamp(1, 3);
        let scale = rng.within(most.min(2) as i32, most as i32) as u32;
        let mut place = |room: u32, used: u32| rng.below((room.saturating_sub(used) + 1) as usize) as u32;
        let at = (place(wide, width(&written) * scale), place(high, HEIGHT * scale));
        let ink = shade(rng.pick(&INKS), rng);
        let letters = write(&mut picture, &written, at, scale, ink);
        let kinds = written.bytes().filter_map(|letter| CHARACTERS.iter().position(|&other| other == letter));
        picture.marks =
            letters.into_iter().zip(kinds).map(|(edges, k)| Mark { edges, kind: kinds::of_character(k) }).collect();
        let templates = if language == Language::English { ENGLISH } else { CHINESE };
        let text = worded(templates, Subject::default(), language, rng);
        Self { picture, text, written }
    }

    pub(crate) fn ask(&self) -> Ask {
        let apart: Vec<String> = self.written.chars().map(String::from).collect();
        Ask { question: self.text.clone(), answer: self.written.clone(), thought: apart.join(" ") }
    }
}

/// All text of this skill but what is filled in.
pub(crate) fn texts(language: Language) -> impl Iterator<Item = &'static str> {
    let templates = if language == Language::English { ENGLISH } else { CHINESE };
    templates.iter().copied()
}
