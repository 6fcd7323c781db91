//! Captions, which the model thinks before it answers: every object in a fixed order.

use super::scene::{Object, Scene};
use super::words::Language;

/// The order of the objects in a caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By colour, then by shape; the same words for every arrangement of the same objects.
    #[default]
    ColourThenShape,
    /// By the column of the center, then its row.
    LeftToRight,
}

impl Scene {
    /// Lists every object with its colour and shape, such as `red circle, red circle, blue star`.
    pub fn caption(&self, language: Language, order: Order) -> String {
        let mut objects: Vec<&Object> = self.objects.iter().collect();
        match order {
            Order::ColourThenShape => objects.sort_by_key(|object| (object.colour, object.shape)),
            Order::LeftToRight => objects.sort_by_key(|object| {
                (2 * object.left + object.size, 2 * object.top + object.size, object.colour, object.shape)
            }),
        }
        let between = if language == Language::English { ", " } else { "，" };
        objects.iter().map(|object| object.name(language)).collect::<Vec<_>>().join(between)
    }
}
