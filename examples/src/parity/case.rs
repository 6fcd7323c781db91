//! One case: a conversation with its images and videos, and the expected values.

use std::path::Path;

use mimo_vl_core::expert::{Patches, PreprocessConfig, preprocess_image, preprocess_video};
use mimo_vl_core::{Image, Message, Result, Role, Video};
use serde::Deserialize;

use super::expected::{CaseError, Expected, read_json};

/// Default `min_pixels` and `max_pixels` of images: those of the run that made the expected values.
const IMAGE_PIXELS: [u32; 2] = [4 * 28 * 28, 16_384 * 28 * 28];

/// A conversation and the values that the reference computes for it.
#[derive(Debug, Clone)]
pub struct Case {
    /// Name of the folder.
    pub name: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Images and videos in the order of the conversation.
    pub media: Vec<MediaItem>,
    /// The values of the reference.
    pub expected: Expected,
}

/// One image or video of a case.
#[derive(Debug, Clone)]
pub struct MediaItem {
    /// The image or video.
    pub content: Content,
    /// True if a file is a JPEG: decoders round its pixels differently.
    pub lossy: bool,
}

/// The content of a media item.
#[derive(Debug, Clone)]
pub enum Content {
    /// An image.
    Image(Image),
    /// The frames of a video.
    Video(Video),
}

impl MediaItem {
    /// Resizes and patchifies the item.
    ///
    /// # Errors
    /// Those of [`preprocess_image`] and [`preprocess_video`].
    pub fn patches(&self, config: &PreprocessConfig) -> Result<Patches> {
        match &self.content {
            Content::Image(image) => preprocess_image(image, config),
            Content::Video(video) => preprocess_video(video, config),
        }
    }
}

#[derive(Deserialize)]
struct RawCase {
    messages: Vec<RawMessage>,
    min_pixels: Option<u32>,
    max_pixels: Option<u32>,
}

#[derive(Deserialize)]
struct RawMessage {
    role: RawRole,
    content: RawContent,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawRole {
    System,
    User,
    Assistant,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawContent {
    Text(String),
    Parts(Vec<RawPart>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum RawPart {
    Text { text: String },
    Image { image: String },
    Video { video: Vec<String>, sample_fps: f64 },
}

impl Case {
    /// Reads the folder of a case.
    ///
    /// # Errors
    /// [`CaseError`] when a file is missing or malformed, or the files disagree.
    pub fn load(folder: &Path) -> Result<Self, CaseError> {
        let path = folder.join("messages.json");
        let raw: RawCase = read_json(&path)?;
        let mut reader = Reader { folder, limits: [raw.min_pixels, raw.max_pixels], media: Vec::new() };
        let messages = raw.messages.into_iter().map(|message| reader.message(message)).collect::<Result<Vec<_>>>();
        let messages = messages.map_err(|error| CaseError::new(&path, error.to_string()))?;
        let media = reader.media;
        let videos: Vec<bool> = media.iter().map(|item| matches!(item.content, Content::Video(_))).collect();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, messages, expected: Expected::load(folder, &videos)?, media })
    }

    /// True if any file is a JPEG.
    pub fn lossy(&self) -> bool {
        self.media.iter().any(|item| item.lossy)
    }
}

struct Reader<'a> {
    folder: &'a Path,
    limits: [Option<u32>; 2],
    media: Vec<MediaItem>,
}

impl Reader<'_> {
    fn message(&mut self, raw: RawMessage) -> Result<Message> {
        let role = match raw.role {
            RawRole::System => Role::System,
            RawRole::User => Role::User,
            RawRole::Assistant => Role::Assistant,
        };
        match raw.content {
            RawContent::Text(text) => Ok(Message::new(role).text(text)),
            RawContent::Parts(parts) => {
                parts.into_iter().try_fold(Message::new(role), |message, part| self.part(message, part))
            }
        }
    }

    fn part(&mut self, message: Message, part: RawPart) -> Result<Message> {
        let [min, max] = self.limits;
        match part {
            RawPart::Text { text } => Ok(message.text(text)),
            RawPart::Image { image: file } => {
                let image = Image::open(self.folder.join(&file))?;
                let image = image.min_pixels(min.unwrap_or(IMAGE_PIXELS[0])).max_pixels(max.unwrap_or(IMAGE_PIXELS[1]));
                self.media.push(MediaItem { content: Content::Image(image.clone()), lossy: is_jpeg(&file) });
                Ok(message.image(image))
            }
            RawPart::Video { video: files, sample_fps } => {
                let frames = files.iter().map(|file| Image::open(self.folder.join(file))).collect::<Result<_>>()?;
                let mut video = Video::from_frames(frames, sample_fps)?;
                video = min.into_iter().fold(video, Video::min_pixels);
                video = max.into_iter().fold(video, Video::max_pixels);
                let lossy = files.iter().any(|file| is_jpeg(file));
                self.media.push(MediaItem { content: Content::Video(video.clone()), lossy });
                Ok(message.video(video))
            }
        }
    }
}

fn is_jpeg(file: &str) -> bool {
    let extension = Path::new(file).extension().unwrap_or_default();
    extension.eq_ignore_ascii_case("jpg") || extension.eq_ignore_ascii_case("jpeg")
}
