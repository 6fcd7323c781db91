//! Images of text to read (OCR).

use super::ask::Subject;
use super::backdrop::backdrop;
use super::checkpoint::TOKEN_SIDE;
use super::conversation::{Grounding, QaPair};
use super::draw::{AnnotatedImage, Annotation};
use super::lettering::{whole_tokens, width, write};
use super::palette::shade;
use super::patch_class;
use super::phrases::from_templates;
use super::random::Random;
use super::scene::Colour;
use super::words::Language;

/// Characters of the texts.
pub(crate) const CHARACTERS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Text colours, dark enough for a light background.
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

/// Side of the cell of one character, in pixels: the image area of one token.
const CELL: u32 = TOKEN_SIDE as u32;
/// Offset of a character above its cell, in pixels. Its upper rows have no ink, and the tail of a Q stays inside.
const ABOVE: i32 = 4;

/// An image of lines of characters, and a request to read it.
#[derive(Debug, Clone, PartialEq)]
pub struct TextImage {
    /// The image.
    pub image: AnnotatedImage,
    /// The request as the user types it.
    pub text: String,
    /// The text: in each line 3 to 8 digits or capital letters.
    pub transcript: String,
}

impl TextImage {
    /// Draws up to `lines` lines, as many as fit, in an image of about this width and height, of at least 3 cells by 1.
    pub fn random((wide, high): (u32, u32), lines: usize, rng: &mut Random) -> Self {
        let (wide, high) = (whole_tokens(wide), whole_tokens(high));
        let language = rng.pick(&Language::ALL);
        let set = [&CHARACTERS[..10], &CHARACTERS[10..], &CHARACTERS[..]][rng.below(3)];
        let mut image = backdrop(wide, high, rng);
        let ink = shade(rng.pick(&INKS), rng);
        let (columns, rows) = ((wide / CELL) as usize, (high / CELL) as usize);
        let lines = lines.min(rows);
        let mut free = rows - lines;
        let (mut row, mut transcript) = (0, Vec::new());
        for after in (0..lines).rev() {
            let line: String = (0..rng.within(3, columns.min(8) as i32)).map(|_| char::from(rng.pick(set))).collect();
            let above = rng.below(if after == 0 { free } else { free / (after + 1) } + 1);
            (row, free) = (row + above, free - above);
            let first = rng.below(columns - line.len() + 1);
            for (column, letter) in (first..).zip(line.chars().map(String::from)) {
                let (left, top) =
                    (column as u32 * CELL + (CELL - width(&letter)) / 2, (row as u32 * CELL) as i32 - ABOVE);
                let index = letter.bytes().find_map(|letter| CHARACTERS.iter().position(|&other| other == letter));
                let annotations = write(&mut image, &letter, (left, top), ink).into_iter().zip(index);
                image.annotations.extend(
                    annotations.map(|(bounds, index)| Annotation { bounds, class: patch_class::of_character(index) }),
                );
            }
            row += 1;
            transcript.push(line);
        }
        let templates = if language == Language::English { ENGLISH } else { CHINESE };
        let text = from_templates(templates, Subject::default(), language, rng);
        Self { image, text, transcript: transcript.join("\n") }
    }

    pub(crate) fn qa_pair(&self) -> QaPair {
        let apart = |line: &str| line.chars().map(String::from).collect::<Vec<_>>().join(" ");
        let reasoning: Vec<String> = self.transcript.lines().map(apart).collect();
        QaPair {
            question: self.text.clone(),
            answer: self.transcript.clone(),
            reasoning: reasoning.join("\n"),
            grounding: Grounding::default(),
        }
    }
}

/// Templates of this skill.
pub(crate) fn texts(language: Language) -> impl Iterator<Item = &'static str> {
    let templates = if language == Language::English { ENGLISH } else { CHINESE };
    templates.iter().copied()
}
