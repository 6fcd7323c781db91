//! One case: a conversation with its pictures, and the expected values.

use std::path::Path;

use mimo_vl_core::expert::{Patches, PreprocessConfig, preprocess_image, preprocess_video};
use mimo_vl_core::{Image, Message, Result, Role, Video};
use serde::Deserialize;

use super::expected::{Expected, Unreadable, read_json};

/// Pixel limits of images where the case states none: those that the expected values were made with.
const IMAGE_PIXELS: [u32; 2] = [4 * 28 * 28, 16_384 * 28 * 28];

/// A conversation and what the reference computes for it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    /// The conversation, from the system's or the first user's message on.
    pub messages: Vec<Message>,
    /// Images and videos in the order of the conversation.
    pub media: Vec<Medium>,
    /// What the reference computes.
    pub expected: Expected,
}

/// One image or video of a case.
#[derive(Debug, Clone)]
pub struct Medium {
    /// What the model is to see.
    pub content: Content,
    /// Whether a file is a JPEG, which decoders may decode differently.
    pub lossy: bool,
}

/// What is shown.
#[derive(Debug, Clone)]
pub enum Content {
    /// One picture.
    Image(Image),
    /// Frames.
    Video(Video),
}

impl Medium {
    /// The medium cut into patches.
    ///
    /// # Errors
    /// Those of [`preprocess`].
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
    /// Read the folder of a case.
    ///
    /// # Errors
    /// [`Unreadable`] when a file is missing, broken, or does not fit the others.
    pub fn load(folder: &Path) -> Result<Self, Unreadable> {
        let path = folder.join("messages.json");
        let raw: RawCase = read_json(&path)?;
        let mut reader = Reader { folder, limits: [raw.min_pixels, raw.max_pixels], media: Vec::new() };
        let messages = raw.messages.into_iter().map(|message| reader.message(message)).collect::<Result<Vec<_>>>();
        let messages = messages.map_err(|error| Unreadable::new(&path, error.to_string()))?;
        let media = reader.media;
        let videos: Vec<bool> = media.iter().map(|medium| matches!(medium.content, Content::Video(_))).collect();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, messages, expected: Expected::load(folder, &videos)?, media })
    }

    /// Whether any file is a JPEG.
    pub fn lossy(&self) -> bool {
        self.media.iter().any(|medium| medium.lossy)
    }
}

struct Reader<'a> {
    folder: &'a Path,
    limits: [Option<u32>; 2],
    media: Vec<Medium>,
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
                self.media.push(Medium { content: Content::Image(image.clone()), lossy: is_jpeg(&file) });
                Ok(message.image(image))
            }
            RawPart::Video { video: files, sample_fps } => {
                let frames = files.iter().map(|file| Image::open(self.folder.join(file))).collect::<Result<_>>()?;
                let mut video = Video::from_frames(frames, sample_fps)?;
                video = min.into_iter().fold(video, Video::min_pixels);
                video = max.into_iter().fold(video, Video::max_pixels);
                let lossy = files.iter().any(|file| is_jpeg(file));
                self.media.push(Medium { content: Content::Video(video.clone()), lossy });
                Ok(message.video(video))
            }
        }
    }
}

fn is_jpeg(file: &str) -> bool {
    let extension = Path::new(file).extension().unwrap_or_default();
    extension.eq_ignore_ascii_case("jpg") || extension.eq_ignore_ascii_case("jpeg")
}
