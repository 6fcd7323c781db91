//! Sessions as files.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::media::{ConversationMessage, MediaItem};
use super::model::Model;
use super::session::Session;
use crate::checkpoint::{NamedTensor, TensorValues, read_tensor_file, write_tensor_file};
use crate::error::{Error, Result};
use crate::media::{Image, ImageRecord, Video};
use crate::model::Features;
use crate::prompt::{Message, Part, Role, ToolCall};

/// The version of the format.
const VERSION: u32 = 1;

/// All but the tensors.
#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    model: String,
    conversation: Vec<MessageRecord>,
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
    /// An index into the media.
    Media(usize),
}

#[derive(Serialize, Deserialize)]
struct MediaItemRecord {
    frames: Vec<ImageRecord>,
    /// Of a video.
    video: Option<VideoRecord>,
    encoded: bool,
}

#[derive(Serialize, Deserialize)]
struct VideoRecord {
    fps: f64,
    times: Option<Vec<f64>>,
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
    /// Write the conversation to a file, with its pictures, videos and their features. What the cache holds of it is not
    /// written: the next question computes it again, and nothing of the pictures.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written, [`Error::Internal`] after an internal error.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.ensure_not_poisoned()?;
        let mut media: Vec<Arc<MediaItem>> = Vec::new();
        let conversation = self.conversation().iter().map(|message| {
            let mut shown = message.media.iter();
            let mut number = |media: &mut Vec<Arc<MediaItem>>| {
                let item = shown.next()?;
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
                Part::Image(_) | Part::Video(_) => number(&mut media).map(PartRecord::Media),
            });
            MessageRecord { role: message.message.role.as_str().to_owned(), parts: parts.collect() }
        });
        let conversation = conversation.collect();
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
        let record = Record { version: VERSION, model, conversation, media: records };
        let text = serde_json::to_string(&record).map_err(|error| Error::internal(error.to_string()))?;
        write_tensor_file(path.as_ref(), text, tensors)
    }
}

fn media_item_record(item: &MediaItem) -> MediaItemRecord {
    let video = item.video().map(|video| {
        let (min_pixels, max_pixels) = video.limits();
        VideoRecord {
            fps: video.fps(),
            times: video.own_times().map(<[f64]>::to_vec),
            total_pixels: video.budget(),
            min_pixels,
            max_pixels,
        }
    });
    let frames = item.frames().iter().map(Image::record).collect();
    MediaItemRecord { frames, video, encoded: item.features().is_ok() }
}

impl Model {
    /// Go on with a conversation that [`Session::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::Checkpoint`] when it is no saved session, not whole, or one of
    /// another model or of other weights.
    pub fn load_session(&self, path: impl AsRef<Path>) -> Result<Session> {
        let path = path.as_ref();
        let (text, tensors) = read_tensor_file(path)?;
        let broken = |reason: String| Error::checkpoint(path, format!("not a whole saved session: {reason}"));
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
            .map(|(index, item)| self.item(index, item, &mut tensors).map_err(|error| broken(error.to_string())))
            .collect::<Result<_>>()?;
        let conversation =
            record.conversation.into_iter().map(|message| restore_message(message, &media).map_err(&broken));
        Ok(Session::with_conversation(self.clone(), conversation.collect::<Result<_>>()?))
    }

    fn item(
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
                (&[height, width, 3], TensorValues::Bytes(pixels)) => frame.image(width, height, &pixels),
                _ => Err(Error::tensor(tensor.name, "no picture")),
            }
        });
        let mut frames: Vec<Image> = frames.collect::<Result<_>>()?;
        let times = record.video.as_ref().and_then(|video| video.times.as_ref());
        if times.is_some_and(|times| times.len() != frames.len()) {
            return Err(Error::image("video", "it has not a time for each frame"));
        }
        let item = match (record.video, frames.len()) {
            (Some(video), _) => {
                let restore_message = Video::from_frames(frames, video.fps)?.with_times(video.times, video.min_pixels);
                let restore_message = restore_message.with_limits(video.total_pixels, video.max_pixels);
                MediaItem::from_video(restore_message, self.preprocess_config())?
            }
            (None, 1) => MediaItem::from_image(frames.remove(0), self.preprocess_config())?,
            (None, count) => return Err(Error::image("picture", format!("{count} frames"))),
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
    let mut shown = Vec::new();
    for part in record.parts {
        message.parts.push(match part {
            PartRecord::Text(text) => Part::Text(text),
            PartRecord::Thinking(text) => Part::Thinking(text),
            PartRecord::Tools(tools) => Part::Tools(tools),
            PartRecord::ToolCall { name, arguments } => {
                Part::ToolCall(ToolCall::new(name, &arguments).map_err(|error| error.to_string())?)
            }
            PartRecord::Media(index) => {
                let item = media.get(index).ok_or_else(|| format!("there is no item {index}"))?;
                shown.push(Arc::clone(item));
                item.part()
            }
        });
    }
    Ok(ConversationMessage { message, media: shown })
}
