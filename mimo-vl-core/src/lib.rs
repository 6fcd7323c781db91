//! MiMo-VL, the vision-language model, inside your program: open an image, ask a question, get an answer.
//!
//! ```no_run
//! use mimo_vl_core::{Event, GenerateOptions, Image, LoadOptions, Model, Prompt, Thinking};
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
//! // The next question knows the picture and the first answer; this time the answer is read as it comes.
//! let prompt = Prompt::user().text("And how was it worked out?");
//! for event in session.stream(&prompt, &GenerateOptions::new())? {
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
//! - A [`Model`] is loaded once, from a checkpoint directory in the layout of the hub, onto a device: `cpu`, `ndarray`
//!   or `cuda:0`, as far as the crate's features of these names (`flex` for `cpu`) are switched on. Clones share it,
//!   and threads may use it at once.
//! - A [`Session`] is one conversation. It keeps what was said, and what earlier turns computed of the beginning that
//!   the next one shares with them.
//! - A [`Prompt`] is what one call adds: text, [`Image`]s and [`Video`]s in the order in which the model sees them.
//! - A [`Stream`] gives the answer as [`Event`]s; a [`CancelToken`] handle stops it from another thread.
//! - Every failure is an [`Error`], sorted by what the caller can do about it; bad input never panics.
//!
//! The nouns below are all that most programs need. [`gui`] has the actions of agents, [`score`] the measures of
//! benchmarks, `train` (a feature) the training, and [`expert`] the stages of the model one by one, for programs that
//! bring their own tensors.

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
