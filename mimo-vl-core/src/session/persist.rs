//! Sessions saved to files: the conversation as JSON, pixels and features as tensors.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::media::{ConversationMessage, MediaItem};
use super::model::Model;
use super::session::Session;
use crate::checkpoint::{NamedTensor, TensorValues, read_tensor_file, write_tensor_file};
use crate::error::{Error, Result};
use crate::media::{Image, ImageRecord, PixelLimits, Video};
use crate::model::Features;
use crate::prompt::{Message, Part, Role, ToolCall};

/// Version of the file format.
const VERSION: u32 = 1;

/// The JSON of a file.
#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    /// Fingerprint of the model.
    model: String,
    #[serde(rename = "turns")]
    messages: Vec<MessageRecord>,
    media: Vec<MediaItemRecord>,
}

#[derive(Serialize, Deserialize)]
struct MessageRecord {
    role: String,
    parts: Vec<PartRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PartRecord {
    Text(String),
    Thinking(String),
    Tools(String),
    ToolCall {
        name: String,
        arguments: String,
    },
    /// Index of the media item in the file.
    Media(usize),
}

#[derive(Serialize, Deserialize)]
struct MediaItemRecord {
    frames: Vec<ImageRecord>,
    /// `None` for an image.
    video: Option<VideoRecord>,
    /// The file has the features.
    encoded: bool,
}

#[derive(Serialize, Deserialize)]
struct VideoRecord {
    fps: f64,
    #[serde(rename = "times")]
    timestamps: Option<Vec<f64>>,
    total_pixels: Option<u64>,
    min_pixels: Option<u32>,
    max_pixels: Option<u32>,
}

fn features_name(index: usize) -> String {
    format!("media.{index}.features")
}

fn frame_name(index: usize, frame: usize) -> String {
    format!("media.{index}.frame.{frame}")
}

impl Session {
    /// Saves the conversation to a file, with its images, videos and their features. The KV cache is not saved: the
    /// next prompt computes it again, without encoding the media again.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written; [`Error::Internal`] after an internal error.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.ensure_not_poisoned()?;
        let mut media: Vec<Arc<MediaItem>> = Vec::new();
        let messages = self.conversation().iter().map(|message| {
            let mut items = message.media.iter();
            let mut next_index = |media: &mut Vec<Arc<MediaItem>>| {
                let item = items.next()?;
                Some(media.iter().position(|other| Arc::ptr_eq(other, item)).unwrap_or_else(|| {
                    media.push(Arc::clone(item));
                    media.len() - 1
                }))
            };
            let parts = message.message.parts.iter().filter_map(|part| match part {
                Part::Text(text) => Some(PartRecord::Text(text.clone())),
                Part::Thinking(text) => Some(PartRecord::Thinking(text.clone())),
                Part::Tools(tools) => Some(PartRecord::Tools(tools.clone())),
                Part::ToolCall(ToolCall { name, arguments }) => {
                    Some(PartRecord::ToolCall { name: name.clone(), arguments: arguments.clone() })
                }
                Part::Image(_) | Part::Video(_) => next_index(&mut media).map(PartRecord::Media),
            });
            MessageRecord { role: message.message.role.as_str().to_owned(), parts: parts.collect() }
        });
        let messages = messages.collect();
        let mut tensors = Vec::new();
        let mut records = Vec::new();
        for (index, item) in media.iter().enumerate() {
            records.push(media_item_record(item));
            for (number, frame) in item.frames().iter().enumerate() {
                let shape = vec![frame.height() as usize, frame.width() as usize, 3];
                let values = TensorValues::Bytes(frame.pixels().into());
                tensors.push(NamedTensor { name: frame_name(index, number), shape, values });
            }
            if let Ok(features) = item.features() {
                let shape = vec![features.values.len() / features.width.max(1), features.width];
                let values = TensorValues::Floats(features.values.as_slice().into());
                tensors.push(NamedTensor { name: features_name(index), shape, values });
            }
        }
        let model = self.model().fingerprint().to_owned();
        let record = Record { version: VERSION, model, messages, media: records };
        let text = serde_json::to_string(&record).map_err(|error| Error::internal(error.to_string()))?;
        write_tensor_file(path.as_ref(), text, tensors)
    }
}

fn media_item_record(item: &MediaItem) -> MediaItemRecord {
    let video = item.video().map(|video| VideoRecord {
        fps: video.fps(),
        timestamps: video.explicit_timestamps().map(<[f64]>::to_vec),
        total_pixels: video.budget(),
        min_pixels: video.limits().min,
        max_pixels: video.limits().max,
    });
    let frames = item.frames().iter().map(Image::to_record).collect();
    MediaItemRecord { frames, video, encoded: item.features().is_ok() }
}

impl Model {
    /// Loads a conversation that [`Session::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::Checkpoint`] when it is not a complete saved session, or
    /// one of another model or of other weights.
    pub fn load_session(&self, path: impl AsRef<Path>) -> Result<Session> {
        let path = path.as_ref();
        let (text, tensors) = read_tensor_file(path)?;
        let broken = |reason: String| Error::checkpoint(path, format!("not a complete saved session: {reason}"));
        let record: Record = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
        if record.version != VERSION {
            let reason = format!("a saved session of version {}; this library reads {VERSION}", record.version);
            return Err(Error::checkpoint(path, reason));
        }
        if record.model != self.fingerprint() {
            return Err(Error::checkpoint(path, "a saved session of another model, or of other weights"));
        }
        let mut tensors: HashMap<String, NamedTensor<'static>> =
            tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        let media: Vec<Arc<MediaItem>> = record
            .media
            .into_iter()
            .enumerate()
            .map(|(index, item)| {
                self.restore_media_item(index, item, &mut tensors).map_err(|error| broken(error.to_string()))
            })
            .collect::<Result<_>>()?;
        let conversation = record.messages.into_iter().map(|message| restore_message(message, &media).map_err(&broken));
        Ok(Session::with_conversation(self.clone(), conversation.collect::<Result<_>>()?))
    }

    fn restore_media_item(
        &self,
        index: usize,
        record: MediaItemRecord,
        tensors: &mut HashMap<String, NamedTensor<'static>>,
    ) -> Result<Arc<MediaItem>> {
        let mut take = |name: String| {
            let missing = Error::tensor(&*name, "missing");
            tensors.remove(&name).ok_or(missing)
        };
        let frames = record.frames.into_iter().enumerate().map(|(number, frame)| {
            let tensor = take(frame_name(index, number))?;
            match (&tensor.shape[..], tensor.values) {
                (&[height, width, 3], TensorValues::Bytes(pixels)) => frame.into_image(width, height, &pixels),
                _ => Err(Error::tensor(tensor.name, "not an image")),
            }
        });
        let mut frames: Vec<Image> = frames.collect::<Result<_>>()?;
        let item = match (record.video, frames.len()) {
            (Some(video), _) => {
                let limits = PixelLimits { min: video.min_pixels, max: video.max_pixels };
                let mut restored = Video::from_frames(frames, video.fps)?.with_limits(video.total_pixels, limits);
                if let Some(timestamps) = video.timestamps {
                    restored = restored.with_timestamps(timestamps)?;
                }
                MediaItem::from_video(restored, self.preprocess_config())?
            }
            (None, 1) => MediaItem::from_image(frames.remove(0), self.preprocess_config())?,
            (None, count) => return Err(Error::image("image", format!("{count} frames"))),
        };
        if record.encoded {
            let tensor = take(features_name(index))?;
            let shape = [item.tokens(), self.config().text.hidden_size];
            match tensor.values {
                TensorValues::Floats(values) if tensor.shape == shape => {
                    item.set_features(Features { values: values.into_owned(), width: shape[1] });
                }
                _ => return Err(Error::tensor(tensor.name, format!("{:?}; {shape:?} is expected", tensor.shape))),
            }
        }
        Ok(Arc::new(item))
    }
}

fn restore_message(record: MessageRecord, media: &[Arc<MediaItem>]) -> Result<ConversationMessage, String> {
    let roles = [Role::System, Role::User, Role::Assistant, Role::Tool];
    let role = roles.into_iter().find(|role| role.as_str() == record.role);
    let mut message = Message::new(role.ok_or_else(|| format!("a message of {:?}", record.role))?);
    let mut items = Vec::new();
    for part in record.parts {
        message.parts.push(match part {
            PartRecord::Text(text) => Part::Text(text),
            PartRecord::Thinking(text) => Part::Thinking(text),
            PartRecord::Tools(tools) => Part::Tools(tools),
            PartRecord::ToolCall { name, arguments } => {
                Part::ToolCall(ToolCall::new(name, &arguments).map_err(|error| error.to_string())?)
            }
            PartRecord::Media(index) => {
                let item = media.get(index).ok_or_else(|| format!("there is no media item {index}"))?;
                items.push(Arc::clone(item));
                item.part()
            }
        });
    }
    Ok(ConversationMessage { message: Arc::new(message), media: items })
}
