//! (being written)

mod image;
mod video;

pub use self::image::Image;
pub use self::video::Video;
