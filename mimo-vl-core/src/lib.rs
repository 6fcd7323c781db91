//! The vision-language model MiMo-VL in your program: open an image, ask about it, and get an answer.
//!
//! ```no_run
//! use mimo_vl_core::{CancelToken, Event, GenerateOptions, Image, LoadOptions, Model, Prompt, Thinking};
//!
//! # fn main() -> mimo_vl_core::Result<()> {
//! let model = Model::load("path/to/checkpoint", &LoadOptions::new().device("cpu"))?;
//! let mut session = model.session();
//!
//! let invoice = Image::open("invoice.png")?;
//! let prompt = Prompt::user().image(invoice).text("What is the total tax?").thinking(Thinking::Off);
//! let answer = session.ask(&prompt, &GenerateOptions::new().max_tokens(256))?;
//! println!("{}", answer.text);
//!
//! // The next prompt continues the conversation. This answer is read while it is generated, and any thread may
//! // cancel it with a clone of the token.
//! let cancel = CancelToken::new();
//! let prompt = Prompt::user().text("How was it calculated?");
//! for event in session.stream(&prompt, &GenerateOptions::new().cancel(&cancel))? {
//!     match event? {
//!         Event::Thinking(text) => eprint!("{text}"),
//!         Event::Text(text) => print!("{text}"),
//!         Event::End(reason) => println!(" ({reason:?})"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! - A [`Model`] is loaded once from a checkpoint, onto a device: `cpu`, `ndarray` or `cuda:0`, if the feature of that
//!   name (`flex` for `cpu`) is enabled. Clones share it, and several threads may use it at once.
//! - A [`Session`] is one conversation. It holds the messages and a cache of keys and values, so that each prompt
//!   computes only what is new.
//! - A [`Prompt`] is the content that one call adds: text, [`Image`]s and [`Video`]s, in the order in which the model
//!   sees them.
//! - A [`Stream`] yields the [`Event`]s of an answer. A [`Batch`] answers several prompts at once.
//! - Options of long calls take a [`CancelToken`], a time limit and a function for [`Progress`].
//! - Every failure is an [`Error`], classified by what the caller can do about it. Invalid input never panics.
//!
//! [`gui`] has the actions of GUI agents, [`score`] the metrics of benchmarks, `train` (a feature) the training, and
//! [`expert`] the stages of the model for programs that bring their own tensors.

mod answer;
mod cancel;
mod checkpoint;
mod config;
#[cfg(feature = "draw")]
mod draw;
mod error;
pub mod expert;
pub mod gui;
#[cfg(feature = "hub")]
mod hub;
mod kernels;
pub mod log;
mod media;
mod model;
mod preprocess;
mod prompt;
mod quant;
mod sampling;
pub mod score;
#[cfg(feature = "serve")]
mod serve;
mod session;
#[cfg(feature = "train")]
pub mod train;

pub use answer::{Coordinates, Event, Geometry, Region, StopReason, time_span};
pub use cancel::{CallOptions, CancelToken, Progress, ProgressCallback, Stage};
pub use checkpoint::{QuantizationReport, WeightFormat};
pub use config::ModelConfig;
#[cfg(feature = "draw")]
pub use draw::draw_regions;
pub use error::{Error, ErrorCode, Result};
#[cfg(feature = "hub")]
pub use hub::{HubOptions, snapshot_download};
pub use media::{FrameSampling, Image, PageFrame, Transform, Video, VideoOptions};
#[cfg(feature = "pdf")]
pub use media::{PdfOptions, PdfPage, open_pdf, open_pdf_bytes};
pub use model::{KvCacheDtype, available_devices};
pub use prompt::{Message, Part, Prompt, Role, Thinking, ThinkingStyle, ToolCall};
pub use sampling::{GenerateOptions, Grammar};
#[cfg(feature = "serve")]
pub use serve::{ServeOptions, Server};
pub use session::{
    Answer, Batch, BatchOptions, Budget, LoadOptions, MemoryUse, Model, Plan, PlannedPart, Session, Stream, Timings,
    TokenLogprob, quantize,
};
