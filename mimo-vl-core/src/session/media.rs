//! Images and videos of a conversation: preprocessed once, encoded at most once.

use std::sync::{Arc, OnceLock};

use crate::cancel::Cancel;
use crate::config::PreprocessConfig;
use crate::error::{Error, Result};
use crate::model::{Engine, Features};
use crate::preprocess::{self, Patches, Transform};
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
    /// Preprocess what `message` shows, unless one of the `earlier` turns or an earlier part shows it already.
    ///
    /// [`Error::ContextTooLong`] as soon as all media together have more tokens than `config` allows, so that many
    /// of them do not take memory without end.
    pub(super) fn new(message: Message, earlier: &[Self], config: &PreprocessConfig, cancel: &Cancel) -> Result<Self> {
        let mut tokens: usize = earlier.iter().flat_map(|turn| &turn.media).map(|medium| medium.tokens()).sum();
        let mut media: Vec<Arc<Medium>> = Vec::new();
        for part in &message.parts {
            cancel.check()?;
            let source = match part {
                Part::Text(_) | Part::Thinking(_) => continue,
                Part::Image(image) => Source::Image(image.clone()),
                Part::Video(video) => Source::Video(video.clone()),
            };
            let mut shown = earlier.iter().flat_map(|turn| &turn.media).chain(&media);
            let medium = match shown.find(|medium| medium.source.same(&source)) {
                Some(medium) => Arc::clone(medium),
                None => Arc::new(Medium::new(source, config)?),
            };
            tokens = tokens.saturating_add(medium.tokens());
            if tokens > config.max_tokens {
                return Err(Error::ContextTooLong { tokens, limit: config.max_tokens });
            }
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

    fn tokens(&self) -> usize {
        self.patches.grid.tokens()
    }

    /// The features, once [`encode`] was there.
    pub(super) fn features(&self) -> Result<&Features> {
        self.features.get().ok_or_else(|| Error::internal("a medium without features"))
    }
}

/// From the caller's pixels to the model's, for every image and video of a conversation, in order.
pub(super) fn transforms(turns: &[Turn]) -> Vec<Transform> {
    turns.iter().flat_map(|turn| &turn.media).map(|medium| medium.patches.transform).collect()
}

/// Compute the features of those media that lack them.
pub(super) fn encode<'a>(
    media: impl Iterator<Item = &'a Arc<Medium>>,
    engine: &dyn Engine,
    cancel: &Cancel,
) -> Result<()> {
    let mut missing: Vec<&Arc<Medium>> = Vec::new();
    for medium in media.filter(|medium| medium.features.get().is_none()) {
        if !missing.iter().any(|other| Arc::ptr_eq(other, medium)) {
            missing.push(medium);
        }
    }
    let patches: Vec<&Patches> = missing.iter().map(|medium| &medium.patches).collect();
    for (medium, features) in missing.iter().zip(engine.encode_all(&patches, cancel)?) {
        medium.features.get_or_init(|| features);
    }
    Ok(())
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
    let size = |image: &Image| {
        (image.width(), image.height(), image.orientation(), image.whole(), image.offset(), image.part())
    };
    size(a) == size(b) && (std::ptr::eq(a.pixels(), b.pixels()) || a.pixels() == b.pixels())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn image(value: u8) -> Image {
        Image::from_rgb(30, 30, 90, &[value; 2700]).unwrap()
    }

    fn turn(message: Message, earlier: &[Turn]) -> Turn {
        Turn::new(message, earlier, &PreprocessConfig::default(), &Cancel::new()).unwrap()
    }

    fn asked() -> Message {
        Message::new(crate::prompt::Role::User)
    }

    #[test]
    fn equal_content_is_one_medium() {
        let first = turn(asked().image(image(1)).text("and").image(image(2)).image(image(1)), &[]);
        let second = turn(asked().image(image(2)).image(image(1).max_pixels(4000)), std::slice::from_ref(&first));
        assert_eq!((first.media.len(), second.media.len()), (3, 2));
        assert!(!Arc::ptr_eq(&first.media[0], &first.media[1]));
        assert!(Arc::ptr_eq(&first.media[0], &first.media[2]));
        assert!(Arc::ptr_eq(&first.media[1], &second.media[0]));
        assert!(!Arc::ptr_eq(&first.media[0], &second.media[1]), "other limits give other patches");
    }

    #[test]
    fn rate_of_a_video_is_part_of_its_content() {
        let video = |fps| Video::from_frames(vec![image(1), image(2)], fps).unwrap();
        let turn = turn(asked().video(video(1.0)).video(video(2.0)).video(video(1.0)), &[]);
        assert!(!Arc::ptr_eq(&turn.media[0], &turn.media[1]));
        assert!(Arc::ptr_eq(&turn.media[0], &turn.media[2]));
    }

    #[test]
    fn media_of_all_turns_share_the_limit_of_tokens() {
        let config = PreprocessConfig { max_tokens: 8, ..PreprocessConfig::default() };
        let add = |message, earlier: &[Turn]| Turn::new(message, earlier, &config, &Cancel::new());
        // Each picture has four tokens, the same one again too.
        let first = add(asked().image(image(1)), &[]).unwrap();
        let second = add(asked().image(image(1)), std::slice::from_ref(&first)).unwrap();
        let third = add(asked().image(image(2)), &[first, second]);
        assert!(matches!(third, Err(Error::ContextTooLong { tokens: 12, limit: 8 })), "{third:?}");
        let many = (0..1000).fold(asked(), |message, _| message.image(image(1)));
        assert!(matches!(add(many, &[]), Err(Error::ContextTooLong { tokens: 12, limit: 8 })));
    }

    #[test]
    fn cancel_stops_preprocessing() {
        let cancel = Cancel::new();
        cancel.cancel();
        let turn = Turn::new(asked().image(image(1)), &[], &PreprocessConfig::default(), &cancel);
        assert!(matches!(turn, Err(Error::Cancelled)));
    }
}
