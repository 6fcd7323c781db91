//! Reading digits and capital letters.

use super::ask::Subject;
use super::backdrop::backdrop;
use super::checkpoint::TOKEN_SIDE;
use super::conversation::{Ask, Asked};
use super::draw::{Mark, Picture};
use super::kinds;
use super::lettering::{whole_tokens, width, write};
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

/// Side of the cell that a character stands in: the cells are the model's tokens.
const CELL: u32 = TOKEN_SIDE as u32;
/// How far a character's upper edge, which has no ink, lies above its cell, so that the tail of a Q is inside.
const ABOVE: i32 = 4;

/// A picture of lines of characters, each in a cell of its own, and a request to read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The picture.
    pub picture: Picture,
    /// The request as the user types it.
    pub text: String,
    /// What is written there: in each line 3 to 8 digits or capital letters.
    pub written: String,
}

impl Reading {
    /// Up to this many lines, as far as they fit, in a picture of about this width and height, of at least 3 cells by 1.
    pub fn random((wide, high): (u32, u32), lines: usize, rng: &mut Random) -> Self {
        let (wide, high) = (whole_tokens(wide), whole_tokens(high));
        let language = rng.pick(&Language::ALL);
        let set = [&CHARACTERS[..10], &CHARACTERS[10..], &CHARACTERS[..]][rng.below(3)];
        let mut picture = backdrop(wide, high, rng);
        let ink = shade(rng.pick(&INKS), rng);
        let (columns, rows) = ((wide / CELL) as usize, (high / CELL) as usize);
        let lines = lines.min(rows);
        let mut free = rows - lines;
        let (mut row, mut written) = (0, Vec::new());
        for after in (0..lines).rev() {
            let line: String = (0..rng.within(3, columns.min(8) as i32)).map(|_| char::from(rng.pick(set))).collect();
            let above = rng.below(if after == 0 { free } else { free / (after + 1) } + 1);
            (row, free) = (row + above, free - above);
            let first = rng.below(columns - line.len() + 1);
            for (column, letter) in (first..).zip(line.chars().map(String::from)) {
                let (left, top) =
                    (column as u32 * CELL + (CELL - width(&letter)) / 2, (row as u32 * CELL) as i32 - ABOVE);
                let kind = letter.bytes().find_map(|letter| CHARACTERS.iter().position(|&other| other == letter));
                let marks = write(&mut picture, &letter, (left, top), ink).into_iter().zip(kind);
                picture.marks.extend(marks.map(|(edges, kind)| Mark { edges, kind: kinds::of_character(kind) }));
            }
            row += 1;
            written.push(line);
        }
        let templates = if language == Language::English { ENGLISH } else { CHINESE };
        let text = worded(templates, Subject::default(), language, rng);
        Self { picture, text, written: written.join("\n") }
    }

    pub(crate) fn ask(&self) -> Ask {
        let apart = |line: &str| line.chars().map(String::from).collect::<Vec<_>>().join(" ");
        let thought: Vec<String> = self.written.lines().map(apart).collect();
        Ask {
            question: self.text.clone(),
            answer: self.written.clone(),
            thought: thought.join("\n"),
            asked: Asked::default(),
        }
    }
}

/// All text of this skill but what is filled in.
pub(crate) fn texts(language: Language) -> impl Iterator<Item = &'static str> {
    let templates = if language == Language::English { ENGLISH } else { CHINESE };
    templates.iter().copied()
}
