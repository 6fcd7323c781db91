//! Images and videos of a conversation: preprocessed once, encoded at most once.

use std::sync::{Arc, OnceLock};

use crate::cancel::Cancel;
use crate::config::PreprocessConfig;
use crate::error::Result;
use crate::model::{Engine, Features};
use crate::preprocess::{self, Patches};
use crate::prompt::{Image, Message, Part, Video};

/// One image or video. Within a session the same content is the same `Arc`.
#[derive(Debug)]
pub(super) struct Medium {
    source: Source,
    patches: Patches,
    features: OnceLock<Features>,
}

#[derive(Debug)]
enum Source {
    Image(Image),
    Video(Video),
}

/// A message with its media in order.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) message: Message,
    pub(super) media: Vec<Arc<Medium>>,
}

impl Turn {
    /// Preprocess what `message` shows, unless `known` has it already; what is new joins `known`.
    pub(super) fn new(
        message: Message,
        known: &mut Vec<Arc<Medium>>,
        config: &PreprocessConfig,
        cancel: &Cancel,
    ) -> Result<Self> {
        let mut media = Vec::new();
        for part in &message.parts {
            cancel.check()?;
            let source = match part {
                Part::Text(_) => continue,
                Part::Image(image) => Source::Image(image.clone()),
                Part::Video(video) => Source::Video(video.clone()),
            };
            let medium = match known.iter().find(|medium| medium.source.same(&source)) {
                Some(medium) => Arc::clone(medium),
                None => {
                    let medium = Arc::new(Medium::new(source, config)?);
                    known.push(Arc::clone(&medium));
                    medium
                }
            };
            media.push(medium);
        }
        Ok(Self { message, media })
    }
}

impl Medium {
    fn new(source: Source, config: &PreprocessConfig) -> Result<Self> {
        let patches = match &source {
            Source::Image(image) => preprocess::image(image, config)?,
            Source::Video(video) => preprocess::video(video, config)?,
        };
        Ok(Self { source, patches, features: OnceLock::new() })
    }

    pub(super) fn patches(&self) -> &Patches {
        &self.patches
    }

    /// The features, computed at the first call.
    pub(super) fn features(&self, engine: &dyn Engine, cancel: &Cancel) -> Result<&Features> {
        if let Some(features) = self.features.get() {
            return Ok(features);
        }
        let features = engine.encode(&self.patches, cancel)?;
        Ok(self.features.get_or_init(|| features))
    }
}

impl Source {
    /// Whether both give the same patches, because the pixels, limits and times are equal.
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Image(a), Self::Image(b)) => a.limits() == b.limits() && same_pixels(a, b),
            (Self::Video(a), Self::Video(b)) => {
                a.limits() == b.limits()
                    && a.fps() == b.fps()
                    && a.frames().len() == b.frames().len()
                    && a.frames().iter().zip(b.frames()).all(|(a, b)| same_pixels(a, b))
            }
            (Self::Image(_), Self::Video(_)) | (Self::Video(_), Self::Image(_)) => false,
        }
    }
}

fn same_pixels(a: &Image, b: &Image) -> bool {
    let size = |image: &Image| (image.width(), image.height(), image.orientation());
    size(a) == size(b) && (std::ptr::eq(a.pixels(), b.pixels()) || a.pixels() == b.pixels())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn image(value: u8) -> Image {
        Image::from_rgb(30, 30, 90, &[value; 2700]).unwrap()
    }

    fn turn(message: Message, known: &mut Vec<Arc<Medium>>) -> Turn {
        Turn::new(message, known, &PreprocessConfig::default(), &Cancel::new()).unwrap()
    }

    fn asked() -> Message {
        Message::new(crate::prompt::Role::User)
    }

    #[test]
    fn equal_content_is_one_medium() {
        let mut known = Vec::new();
        let first = turn(asked().image(image(1)).text("and").image(image(2)), &mut known);
        let second = turn(asked().image(image(2)).image(image(1).max_pixels(4000)), &mut known);
        assert_eq!(known.len(), 3);
        assert!(Arc::ptr_eq(&first.media[1], &second.media[0]));
        assert!(!Arc::ptr_eq(&first.media[0], &second.media[1]), "other limits give other patches");
    }

    #[test]
    fn rate_of_a_video_is_part_of_its_content() {
        let video = |fps| Video::from_frames(vec![image(1), image(2)], fps).unwrap();
        let mut known = Vec::new();
        turn(asked().video(video(1.0)).video(video(2.0)).video(video(1.0)).image(image(1)), &mut known);
        assert_eq!(known.len(), 3);
    }

    #[test]
    fn cancel_stops_preprocessing() {
        let cancel = Cancel::new();
        cancel.cancel();
        let turn = Turn::new(asked().image(image(1)), &mut Vec::new(), &PreprocessConfig::default(), &cancel);
        assert!(matches!(turn, Err(crate::error::Error::Cancelled)));
    }
}
