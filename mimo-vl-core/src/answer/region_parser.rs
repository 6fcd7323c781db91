//! The boxes and points of an answer, while its text comes in.

use std::ops::Range;

use super::region::Region;
use super::region_scanner::Scanner;
use crate::media::Transform;

/// Finds the boxes and points in an answer and brings them into the caller's pixels.
///
/// What it knows: objects with a key `bbox_2d`, `point_2d` or `points`, with `label` and `text_content`, in a list or
/// not, fenced or not; bare lists of four numbers; and of two numbers where the answer or a fenced block starts with
/// them. They belong to the last picture or video of the conversation; [`Region::in_image`] moves them to another.
#[derive(Debug, Clone)]
pub struct RegionParser {
    scanner: Scanner,
    /// The last picture's number and transform; `None` without pictures.
    image: Option<(usize, Transform)>,
}

impl RegionParser {
    /// For a conversation with these pictures and videos.
    pub fn new(transforms: &[Transform]) -> Self {
        let last = transforms.last().map(|transform| (transforms.len() - 1, *transform));
        Self { scanner: Scanner::default(), image: last }
    }

    /// The boxes and points that `text` completes, each with its place in the whole text, in bytes. None without a
    /// picture.
    pub fn push(&mut self, text: &str) -> Vec<(Region, Range<usize>)> {
        let found = self.scanner.push(text).into_iter();
        let Some((image, transform)) = self.image else { return Vec::new() };
        found
            .map(|found| (found.range.clone(), found))
            .map(|(range, found)| (Region::new(found, image, &transform), range))
            .collect()
    }

    /// Whether a list or an object was begun and not ended.
    pub fn is_open(&self) -> bool {
        self.scanner.is_open()
    }
}
