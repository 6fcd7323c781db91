//! Images, videos and PDF pages in host memory: decoding, frame sampling, resizing, and the transform back to the
//! caller's pixels.

mod crop;
mod ffmpeg;
mod frames;
mod image;
mod media_name;
mod page;
#[cfg(feature = "pdf")]
mod pdf;
mod pixel_limits;
mod resize;
mod smart_resize;
mod transform;
mod video;

pub use ffmpeg::VideoOptions;
pub use frames::{FrameSampling, SampledFrames, frame_pixels, sample_frames};
pub(crate) use frames::{MAX_VIDEO_PIXELS, frame_size};
pub use image::Image;
pub(crate) use image::ImageRecord;
pub use media_name::media_name;
pub use page::PageFrame;
#[cfg(feature = "pdf")]
pub use pdf::{PdfOptions, PdfPage, open_pdf, open_pdf_bytes};
pub(crate) use pixel_limits::PixelLimits;
pub use resize::{Bicubic, resize};
pub use smart_resize::smart_resize;
pub(crate) use smart_resize::target_size;
pub use transform::Transform;
pub use video::Video;
pub(crate) use video::check_fps;
