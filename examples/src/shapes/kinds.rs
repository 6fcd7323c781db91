//! A number for every kind of thing that a picture can show, so that the tower can be taught where they are.

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

/// What a character or word says; `None` for other kinds.
#[cfg(feature = "train")]
pub(crate) fn said(kind: u32) -> Option<String> {
    let index = (kind as usize).checked_sub(1 + OBJECTS)?;
    let character = CHARACTERS.get(index).map(|&letter| char::from(letter).to_string());
    let word = || WORDS.concat().get(index.checked_sub(CHARACTERS.len())?).map(|&word| word.to_owned());
    character.or_else(word)
}
