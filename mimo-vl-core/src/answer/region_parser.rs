//! Incremental parsing of the boxes and points of an answer.

use std::ops::Range;

use super::region::Region;
use super::region_scanner::RegionScanner;
use crate::media::Transform;

/// Finds the boxes and points of an answer and converts them to the caller's pixels.
///
/// Recognises objects with a key `bbox_2d`, `bbox`, `point_2d` or `points`, and optionally `label` and `text_content`,
/// in a list or not, fenced or not; and bare lists of four or two numbers at the start of the answer or of a fenced
/// block. Regions belong to the last image or video of the conversation; [`Region::in_image`] assigns them
/// to another.
#[derive(Debug, Clone)]
pub struct RegionParser {
    scanner: RegionScanner,
    /// Index and transform of the last image; `None` without images.
    image: Option<(usize, Transform)>,
}

impl RegionParser {
    /// Creates a parser for a conversation with these images and videos. With `in_prose`, bare lists of four numbers
    /// are boxes anywhere.
    pub fn new(transforms: &[Transform], in_prose: bool) -> Self {
        let last = transforms.last().map(|transform| (transforms.len() - 1, *transform));
        Self { scanner: RegionScanner::new(in_prose), image: last }
    }

    /// Appends `text` and returns the regions that it completes, each with its byte range in the entire text. Returns
    /// none without an image.
    pub fn push(&mut self, text: &str) -> Vec<(Region, Range<usize>)> {
        let regions = self.scanner.push(text).into_iter();
        let Some((image, transform)) = self.image else { return Vec::new() };
        regions
            .map(|raw| {
                let range = raw.range.clone();
                (Region::new(raw, image, &transform), range)
            })
            .collect()
    }

    /// Returns `true` while a list or an object is still open.
    pub fn is_open(&self) -> bool {
        self.scanner.is_open()
    }
}
