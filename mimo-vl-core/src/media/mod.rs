//! Images, videos and PDF pages in host memory: decoding, frame sampling, resizing, and the way back to the caller's
//! pixels.

mod ffmpeg;
mod frames;
mod image;
#[cfg(feature = "pdf")]
mod pdf;
mod resize;
mod smart_resize;
mod transform;
mod video;

pub use ffmpeg::VideoOptions;
pub use frames::{FrameSampling, SampledFrames, frame_pixels, sample_frames};
pub(crate) use frames::{MAX_VIDEO_PIXELS, frame_size};
pub(crate) use image::ImageRecord;
pub use image::{Image, PageFrame};
#[cfg(feature = "pdf")]
pub use pdf::{PdfOptions, PdfPage, open_pdf, open_pdf_bytes};
pub use resize::{Bicubic, resize};
pub use smart_resize::smart_resize;
pub(crate) use smart_resize::{PixelLimits, target_size};
pub use transform::Transform;
pub use video::Video;
pub(crate) use video::check_fps;
