//! MiMo-VL, the vision-language model, inside your program: open an image, ask a question, get an answer.
//!
//! ```no_run
//! use mimo_vl_core::{Event, Generate, Image, LoadOptions, Model, Prompt, Thinking};
//!
//! # fn main() -> mimo_vl_core::Result<()> {
//! let model = Model::load("path/to/checkpoint", &LoadOptions::new().device("cpu"))?;
//! let mut session = model.session();
//!
//! let invoice = Image::open("invoice.png")?;
//! let prompt = Prompt::user().image(invoice).text("What is the total tax?").thinking(Thinking::Off);
//! let answer = session.ask(&prompt, &Generate::new().max_tokens(256))?;
//! println!("{}", answer.text);
//!
//! // The next question knows the picture and the first answer; this time the answer is read as it comes.
//! let prompt = Prompt::user().text("And how was it worked out?");
//! for event in session.stream(&prompt, &Generate::new())? {
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
//! - A [`Prompt`] is what one question adds: text, [`Image`]s and [`Video`]s in the order in which the model sees them.
//! - A [`Stream`] gives the answer as [`Event`]s; a [`Cancel`] handle stops it from another thread.
//! - Every failure is an [`Error`], sorted by what the caller can do about it; bad input never panics.
//!
//! The modules follow the data: [`config`] and [`checkpoint`] read the files, [`prompt`], [`preprocess`] and [`encode`]
//! prepare a conversation, [`vision`], [`projector`], [`splice`] and [`language`] are the network, which [`model`] joins,
//! [`sampling`] and [`answer`] read its output, and [`session`] ties them together. Most programs need the names
//! below only.

pub mod answer;
pub mod cancel;
pub mod checkpoint;
pub mod config;
pub mod device;
pub mod draw;
pub mod encode;
pub mod error;
pub mod gui;
#[cfg(feature = "hub")]
pub mod hub;
pub mod kernels;
pub mod language;
pub mod log;
pub mod model;
pub mod nn;
#[cfg(feature = "pdf")]
pub mod pdf;
pub mod preprocess;
pub mod projector;
pub mod prompt;
pub mod quant;
pub mod sampling;
pub mod score;
#[cfg(feature = "serve")]
pub mod serve;
pub mod session;
pub mod splice;
#[cfg(feature = "train")]
pub mod train;
pub mod video;
pub mod vision;

pub use answer::{Event, Located, Place, Region, StopReason};
pub use cancel::{Cancel, Stage, Watch};
pub use checkpoint::{Receipt, Weights};
pub use config::ModelConfig;
pub use error::{Error, ErrorCode, Result};
#[cfg(feature = "hub")]
pub use hub::HubOptions;
pub use model::KvCache;
pub use preprocess::Transform;
pub use prompt::{Image, Message, PageFrame, Part, Prompt, Role, Thinking, ThinkingStyle, ToolCall, Video};
pub use sampling::{Generate, Grammar};
pub use session::{
    Answer, Batch, Budget, LoadOptions, MemoryUse, Model, Plan, PlannedPart, Session, Stream, Timings, TokenLogprob,
    quantize,
};
pub use video::VideoOptions;
