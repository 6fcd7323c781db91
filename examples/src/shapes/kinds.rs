//! A number for every kind of thing that a picture can show, so that the tower can be taught where they are.

use super::ask::Subject;
use super::buttons::WORDS;
use super::reading::CHARACTERS;
use super::scene::{Colour, Object, Shape};
use super::words::Language;

const OBJECTS: usize = Colour::ALL.len() * Shape::ALL.len();

/// All kinds together with 0, which stands for nothing.
pub const KINDS: usize = 1 + OBJECTS + CHARACTERS.len() + WORDS[0].len() + WORDS[1].len();

pub(crate) fn of_object(object: &Object) -> u32 {
    1 + (object.colour as usize * Shape::ALL.len() + object.shape as usize) as u32
}

/// `index` is that of one of [`CHARACTERS`].
pub(crate) fn of_character(index: usize) -> u32 {
    (1 + OBJECTS + index) as u32
}

/// `index` counts through all of [`WORDS`].
pub(crate) fn of_word(index: usize) -> u32 {
    (1 + OBJECTS + CHARACTERS.len() + index) as u32
}

/// What a thing is called in either language, or what a character or word says.
#[cfg(feature = "train")]
pub(crate) fn said(kind: u32) -> Vec<String> {
    let Some(index) = (kind as usize).checked_sub(1) else { return Vec::new() };
    if index < OBJECTS {
        let (colour, shape) = (Colour::ALL[index / Shape::ALL.len()], Shape::ALL[index % Shape::ALL.len()]);
        return names(Subject { colour: Some(colour), shape: Some(shape) });
    }
    let characters = CHARACTERS.iter().map(|&letter| char::from(letter).to_string());
    characters.chain(WORDS.concat().into_iter().map(String::from)).nth(index - OBJECTS).into_iter().collect()
}

/// What a subject is called in either language, each part in the form that it has in an object's whole name.
pub(crate) fn names(subject: Subject) -> Vec<String> {
    let name = |language| {
        let shape = subject.shape.map(|shape| shape.word(language));
        let joint = if language == Language::English && shape.is_some() { " " } else { "" };
        [subject.colour.map_or("", |colour| colour.word(language)), joint, shape.unwrap_or("")].concat()
    };
    Language::ALL.map(name).into_iter().filter(|name| !name.is_empty()).collect()
}

/// A colour and a shape as one name.
pub(crate) fn named(object: &Object, language: Language) -> String {
    let joint = if language == Language::English { " " } else { "" };
    [object.colour.word(language), object.shape.word(language)].join(joint)
}
