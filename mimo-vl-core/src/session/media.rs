//! Images and videos of a conversation: their layouts, patches and features. Each is encoded at most once.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::answer::{Timings, timed};
use super::feature_cache::{Key, KeyHasher};
use super::model::Model;
use crate::cancel::TaskControl;
use crate::config::PreprocessConfig;
use crate::error::{Error, Result};
use crate::media::{Image, Transform, Video};
use crate::model::Features;
use crate::preprocess::{Grid, Layout, Patches, image_layout, patchify_image, patchify_video, video_layout};
use crate::prompt::{Message, Part};

/// One image or video. Within a session, equal content is the same `Arc`. Patches are made when features are needed.
#[derive(Debug)]
pub(super) struct MediaItem {
    source: Source,
    layout: Layout,
    features: OnceLock<Arc<Features>>,
}

#[derive(Debug)]
enum Source {
    Image(Image),
    Video(Video),
}

/// A message with its media, in the order of its parts. Clones share both.
#[derive(Debug, Clone)]
pub(super) struct ConversationMessage {
    pub(super) message: Arc<Message>,
    pub(super) media: Vec<Arc<MediaItem>>,
}

impl ConversationMessage {
    /// Computes the layouts of the message's media. Content that `earlier` messages or parts contain already is shared.
    ///
    /// [`Error::ContextTooLong`] as soon as all media together have more than `max_tokens` tokens, which bounds the
    /// memory that they take.
    pub(super) fn new(
        message: Message,
        earlier: &[Self],
        config: &PreprocessConfig,
        max_tokens: usize,
        control: &TaskControl,
    ) -> Result<Self> {
        let mut tokens: usize = earlier.iter().flat_map(|message| &message.media).map(|item| item.tokens()).sum();
        let mut media: Vec<Arc<MediaItem>> = Vec::new();
        for part in &message.parts {
            control.check()?;
            let source = match part {
                Part::Image(image) => Source::Image(image.clone()),
                Part::Video(video) => Source::Video(video.clone()),
                _ => continue,
            };
            let mut known = earlier.iter().flat_map(|message| &message.media).chain(&media);
            let item = match known.find(|item| item.source.same(&source)) {
                Some(item) => Arc::clone(item),
                None => Arc::new(MediaItem::new(source, config)?),
            };
            tokens = tokens.saturating_add(item.tokens());
            if tokens > max_tokens {
                return Err(Error::ContextTooLong { tokens, limit: max_tokens });
            }
            media.push(item);
        }
        Ok(Self { message: Arc::new(message), media })
    }
}

impl MediaItem {
    fn new(source: Source, config: &PreprocessConfig) -> Result<Self> {
        let layout = match &source {
            Source::Image(image) => image_layout(image, config)?,
            Source::Video(video) => video_layout(video, config)?,
        };
        Ok(Self { source, layout, features: OnceLock::new() })
    }

    pub(super) fn from_image(image: Image, config: &PreprocessConfig) -> Result<Self> {
        Self::new(Source::Image(image), config)
    }

    pub(super) fn from_video(video: Video, config: &PreprocessConfig) -> Result<Self> {
        Self::new(Source::Video(video), config)
    }

    /// The message part of the item.
    pub(super) fn part(&self) -> Part {
        match &self.source {
            Source::Image(image) => Part::Image(image.clone()),
            Source::Video(video) => Part::Video(video.clone()),
        }
    }

    pub(super) fn video(&self) -> Option<&Video> {
        match &self.source {
            Source::Image(_) => None,
            Source::Video(video) => Some(video),
        }
    }

    /// The image, or the frames of the video.
    pub(super) fn frames(&self) -> &[Image] {
        self.source.frames()
    }

    /// Sets the features, unless they are set.
    pub(super) fn set_features(&self, features: Features) {
        self.features.get_or_init(|| Arc::new(features));
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    pub(super) fn tokens(&self) -> usize {
        self.layout.grid.tokens()
    }

    fn patches(&self, config: &PreprocessConfig, control: &TaskControl) -> Result<Patches> {
        match &self.source {
            Source::Image(image) => patchify_image(image, self.layout, config, control),
            Source::Video(video) => patchify_video(video, self.layout, config, control),
        }
    }

    /// Time that reading and decoding took.
    pub(super) fn decode_time(&self) -> Duration {
        match &self.source {
            Source::Image(image) => image.decode_time(),
            Source::Video(video) => video.decode_time(),
        }
    }

    /// The features; an error before [`encode`].
    pub(super) fn features(&self) -> Result<&Features> {
        self.features.get().map(|features| &**features).ok_or_else(|| Error::internal("a media item without features"))
    }
}

/// Coordinate transforms, one for each media item of a conversation, in order.
pub(super) fn transforms(conversation: &[ConversationMessage]) -> Vec<Transform> {
    conversation.iter().flat_map(|message| &message.media).map(|item| item.layout.transform).collect()
}

/// Time that reading and decoding took, of the media that `earlier` does not contain.
pub(super) fn decode_time(conversation: &[ConversationMessage], earlier: &[ConversationMessage]) -> Duration {
    let mut seen: Vec<&Arc<MediaItem>> = earlier.iter().flat_map(|message| &message.media).collect();
    let mut time = Duration::ZERO;
    for item in conversation.iter().flat_map(|message| &message.media) {
        if !seen.iter().any(|other| Arc::ptr_eq(other, item)) {
            seen.push(item);
            time += item.decode_time();
        }
    }
    time
}

/// Computes missing features, from the model's feature cache or by the vision tower. Adds the time of hashing and
/// patchifying to `timings.preprocess`, and that of the tower to `timings.encode`.
pub(super) fn encode<'a>(
    media: impl Iterator<Item = &'a Arc<MediaItem>>,
    model: &Model,
    control: &TaskControl,
    timings: &mut Timings,
) -> Result<()> {
    let mut missing: Vec<(&Arc<MediaItem>, Option<Key>)> = Vec::new();
    for item in media.filter(|item| item.features.get().is_none()) {
        if missing.iter().any(|(other, _)| Arc::ptr_eq(other, item)) {
            continue;
        }
        let hash = || timed(&mut timings.preprocess, || item.source.key(item.layout.grid, control));
        let key = model.feature_cache().is_enabled().then(hash).transpose()?;
        match key.and_then(|key| model.feature_cache().get(&key)) {
            Some(features) => drop(item.features.set(features)),
            None => missing.push((item, key)),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let config = model.preprocess_config();
    let patches = timed(&mut timings.preprocess, || {
        let _span = tracing::debug_span!("preprocess").entered();
        missing.iter().map(|(item, _)| item.patches(config, control)).collect::<Result<Vec<_>>>()
    })?;
    let patches: Vec<&Patches> = patches.iter().collect();
    let all = timed(&mut timings.encode, || {
        let _span = tracing::debug_span!("encode").entered();
        model.engine().encode_all(&patches, control)
    })?;
    for ((item, key), features) in missing.into_iter().zip(all) {
        let features = Arc::new(features);
        if let Some(key) = key {
            model.feature_cache().insert(key, &features);
        }
        item.features.get_or_init(|| features);
    }
    Ok(())
}

impl Source {
    /// True if both give the same patches: their pixels, limits and rates are equal.
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Image(a), Self::Image(b)) => a.limits() == b.limits() && same_pixels(a, b),
            (Self::Video(a), Self::Video(b)) => {
                a.limits() == b.limits()
                    && a.budget() == b.budget()
                    && a.fps() == b.fps()
                    && a.frames().len() == b.frames().len()
                    && a.frames().iter().zip(b.frames()).all(|(a, b)| same_pixels(a, b))
            }
            (Self::Image(_), Self::Video(_)) | (Self::Video(_), Self::Image(_)) => false,
        }
    }

    fn frames(&self) -> &[Image] {
        match self {
            Self::Image(image) => std::slice::from_ref(image),
            Self::Video(video) => video.frames(),
        }
    }

    /// Cache key of the features: SHA-256 over the pixels, the frame sizes and `grid`.
    fn key(&self, grid: Grid, control: &TaskControl) -> Result<Key> {
        let mut key = KeyHasher::new();
        let is_video = matches!(self, Self::Video(_));
        key.update_numbers(&[u64::from(is_video), grid.t as u64, grid.h as u64, grid.w as u64]);
        for frame in self.frames() {
            control.check()?;
            key.update_numbers(&[u64::from(frame.width()), u64::from(frame.height())]);
            key.update(frame.pixels());
        }
        Ok(key.finish())
    }
}

fn same_pixels(a: &Image, b: &Image) -> bool {
    let frame = |image: &Image| (image.width(), image.height(), image.crop_frame());
    frame(a) == frame(b) && (std::ptr::eq(a.pixels(), b.pixels()) || a.pixels() == b.pixels())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cancel::CancelToken;

    fn image(value: u8) -> Image {
        Image::from_rgb(30, 30, 90, &[value; 2700]).unwrap()
    }

    fn message(message: Message, earlier: &[ConversationMessage]) -> ConversationMessage {
        ConversationMessage::new(message, earlier, &PreprocessConfig::default(), usize::MAX, &TaskControl::default())
            .unwrap()
    }

    fn user() -> Message {
        Message::new(crate::prompt::Role::User)
    }

    #[test]
    fn equal_content_is_one_media_item() {
        let first = message(user().image(image(1)).text("and").image(image(2)).image(image(1)), &[]);
        let second = message(user().image(image(2)).image(image(1).max_pixels(4000)), std::slice::from_ref(&first));
        assert_eq!((first.media.len(), second.media.len()), (3, 2));
        assert!(!Arc::ptr_eq(&first.media[0], &first.media[1]));
        assert!(Arc::ptr_eq(&first.media[0], &first.media[2]));
        assert!(Arc::ptr_eq(&first.media[1], &second.media[0]));
        assert!(!Arc::ptr_eq(&first.media[0], &second.media[1]), "other limits give other patches");
    }

    #[test]
    fn videos_of_different_rates_are_different_media_items() {
        let video = |fps| Video::from_frames(vec![image(1), image(2)], fps).unwrap();
        let message = message(user().video(video(1.0)).video(video(2.0)).video(video(1.0)), &[]);
        assert!(!Arc::ptr_eq(&message.media[0], &message.media[1]));
        assert!(Arc::ptr_eq(&message.media[0], &message.media[2]));
    }

    #[test]
    fn media_of_all_messages_share_the_token_limit() {
        let config = PreprocessConfig::default();
        let add = |message, earlier: &[ConversationMessage]| {
            ConversationMessage::new(message, earlier, &config, 8, &TaskControl::default())
        };
        // Each image has four tokens, and so has its repetition.
        let first = add(user().image(image(1)), &[]).unwrap();
        let second = add(user().image(image(1)), std::slice::from_ref(&first)).unwrap();
        let third = add(user().image(image(2)), &[first, second]);
        assert!(matches!(third, Err(Error::ContextTooLong { tokens: 12, limit: 8 })), "{third:?}");
        let many = (0..1000).fold(user(), |message, _| message.image(image(1)));
        assert!(matches!(add(many, &[]), Err(Error::ContextTooLong { tokens: 12, limit: 8 })));
    }

    #[test]
    fn cancel_stops_preprocessing() {
        let token = CancelToken::new();
        token.cancel();
        let control = TaskControl::with_cancel(&token);
        let message =
            ConversationMessage::new(user().image(image(1)), &[], &PreprocessConfig::default(), usize::MAX, &control);
        assert!(matches!(message, Err(Error::Cancelled)));
    }
}
