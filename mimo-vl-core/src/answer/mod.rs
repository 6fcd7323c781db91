//! The model's output as events: thinking separated from the answer, and the boxes and points in it.

mod event;
mod json_pointer;
mod parser;
mod region;
mod region_parser;
mod region_scanner;
mod times;

pub use event::{Event, StopReason};
pub use json_pointer::json_value_range;
pub use parser::AnswerParser;
pub use region::{Coordinates, Geometry, Region};
pub use region_parser::RegionParser;
pub use times::time_span;
