//! Classes of what a patch can show, for supervision of the vision tower.

#[cfg(feature = "train")]
use super::ask::Subject;
use super::buttons::WORDS;
use super::reading::CHARACTERS;
use super::scene::{Colour, Object, Shape};

const OBJECTS: usize = Colour::ALL.len() * Shape::ALL.len();

/// Number of classes: the background, class 0, then coloured shapes, characters and words.
pub const PATCH_CLASSES: usize = 1 + OBJECTS + CHARACTERS.len() + WORDS[0].len() + WORDS[1].len();

pub(crate) fn of_object(object: &Object) -> u32 {
    1 + (object.colour as usize * Shape::ALL.len() + object.shape as usize) as u32
}

/// `index` is the index in [`CHARACTERS`].
pub(crate) fn of_character(index: usize) -> u32 {
    (1 + OBJECTS + index) as u32
}

/// `index` is the index in all of [`WORDS`], English first.
pub(crate) fn of_word(index: usize) -> u32 {
    (1 + OBJECTS + CHARACTERS.len() + index) as u32
}

/// Names of a class: a coloured shape in both languages, or the character or word itself.
#[cfg(feature = "train")]
pub(crate) fn names(class: u32) -> Vec<String> {
    let Some(index) = (class as usize).checked_sub(1) else { return Vec::new() };
    if index < OBJECTS {
        let (colour, shape) = (Colour::ALL[index / Shape::ALL.len()], Shape::ALL[index % Shape::ALL.len()]);
        return Subject { colour: Some(colour), shape: Some(shape) }.names();
    }
    let characters = CHARACTERS.iter().map(|&letter| char::from(letter).to_string());
    characters.chain(WORDS.concat().into_iter().map(String::from)).nth(index - OBJECTS).into_iter().collect()
}
