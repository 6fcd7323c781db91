//! A number for every kind of thing that a picture can show, so that the tower can be taught where they are.

#[cfg(feature = "train")]
use super::ask::Subject;
use super::buttons::WORDS;
use super::reading::CHARACTERS;
use super::scene::{Colour, Object, Shape};

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
        return Subject { colour: Some(colour), shape: Some(shape) }.names();
    }
    let characters = CHARACTERS.iter().map(|&letter| char::from(letter).to_string());
    characters.chain(WORDS.concat().into_iter().map(String::from)).nth(index - OBJECTS).into_iter().collect()
}
