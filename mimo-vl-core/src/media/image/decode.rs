//! Decoding of image files to 8-bit RGB. Limits are checked before anything large is allocated.

use std::io::Cursor;

use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

/// Maximum pixels of one side.
const MAX_SIDE: u32 = 16_384;
/// Maximum bytes of the decoded samples: 134 million pixels of 8-bit RGBA.
const MAX_BYTES: u64 = 512 * 1024 * 1024;

/// A decoded image, as a viewer shows it.
pub(super) struct Decoded {
    pub(super) width: u32,
    pub(super) height: u32,
    /// The EXIF orientation that was applied.
    pub(super) orientation: u8,
    /// `[height, width, 3]`.
    pub(super) pixels: Vec<u8>,
}

/// Decodes an image file. The error is a reason without the image's name.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let format = image::guess_format(bytes)
        .map_err(|_| "not an image: PNG, JPEG, GIF, WebP, BMP and TIFF are supported".to_owned())?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(|error| reason(format, error))?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    if decoder.total_bytes() > MAX_BYTES {
        return Err(format!("{width}x{height} pixels take more than {} MiB when decoded", MAX_BYTES >> 20));
    }
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    decoder.set_limits(limits).map_err(|error| reason(format, error))?;
    if !has_end(format, bytes) {
        return Err(format!("the {format:?} file is cut short: its end marker is missing"));
    }
    // A damaged EXIF block must not make an intact image unusable.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| reason(format, error))?;
    image.apply_orientation(orientation);
    Ok(Decoded {
        width: image.width(),
        height: image.height(),
        orientation: orientation.to_exif(),
        pixels: to_rgb(image),
    })
}

/// Rejects an image without pixels, or with a side above the limit.
pub(super) fn check_size(width: u32, height: u32) -> Result<(), String> {
    if width == 0 || height == 0 {
        Err(format!("{width}x{height} pixels: both sides must be at least 1"))
    } else if width > MAX_SIDE || height > MAX_SIDE {
        Err(format!("{width}x{height} pixels: at most {MAX_SIDE} a side are supported; scale it down"))
    } else {
        Ok(())
    }
}

fn reason(format: ImageFormat, error: ImageError) -> String {
    match error {
        ImageError::Limits(_) => format!("decoding it takes more than {} MiB", MAX_BYTES >> 20),
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!("the {format:?} file is cut short")
        }
        ImageError::Unsupported(_) => format!("cannot read this kind of {format:?} file: {error}"),
        _ => format!("damaged {format:?} file: {error}"),
    }
}

fn to_rgb(image: DynamicImage) -> Vec<u8> {
    if !image.color().has_alpha() {
        return image.into_rgb8().into_raw();
    }
    let rgba = image.into_rgba8();
    let mut pixels = Vec::with_capacity(rgba.len() / 4 * 3);
    blend_with_white(&rgba, &mut pixels);
    pixels
}

/// Blends RGBA pixels with white and appends them as RGB, with the arithmetic of Pillow's `paste`.
pub(super) fn blend_with_white(rgba: &[u8], rgb: &mut Vec<u8>) {
    for &[red, green, blue, alpha] in rgba.as_chunks::<4>().0 {
        rgb.extend([red, green, blue].map(|channel| blend(channel, alpha)));
    }
}

/// Blends `channel` with 255. Divides by 255, rounded to nearest, without a division.
fn blend(channel: u8, alpha: u8) -> u8 {
    let alpha = u32::from(alpha);
    let sum = u32::from(channel) * alpha + 255 * (255 - alpha) + 128;
    // The sum is at most 255 · 255 + 128, so the quotient is at most 255.
    ((sum + (sum >> 8)) >> 8) as u8
}

/// True if the file reaches its end marker. The decoders fill the missing part of a JPEG with grey.
fn has_end(format: ImageFormat, bytes: &[u8]) -> bool {
    match format {
        ImageFormat::Jpeg => jpeg_has_end(bytes).unwrap_or(false),
        ImageFormat::Png => png_has_end(bytes).unwrap_or(false),
        _ => true,
    }
}

/// Walks the segments and scans of a JPEG (ITU-T T.81, B.1.1) to its EOI marker; `None` when the data ends before.
///
/// A search for the two bytes would find the EOI of a thumbnail in the metadata.
fn jpeg_has_end(bytes: &[u8]) -> Option<bool> {
    const SOI: u8 = 0xD8;
    const EOI: u8 = 0xD9;
    let mut at = 0;
    loop {
        // Skip to the next marker: entropy-coded data has 0x00 after a 0xFF, or a restart marker.
        at += bytes.get(at..)?.windows(2).position(|pair| pair[0] == 0xFF && is_marker(pair[1]))?;
        let marker = *bytes.get(at + 1)?;
        at += 2;
        match marker {
            EOI => return Some(true),
            SOI => {}
            _ => {
                let length = bytes.get(at..at + 2)?;
                at += usize::from(u16::from_be_bytes([length[0], length[1]]));
            }
        }
    }
}

/// True if the byte after a 0xFF makes a marker that ends entropy-coded data.
fn is_marker(byte: u8) -> bool {
    const TEM: u8 = 0x01;
    !matches!(byte, 0x00 | TEM | 0xD0..=0xD7 | 0xFF)
}

/// Walks the chunks of a PNG to its IEND chunk; `None` when the data ends before.
fn png_has_end(bytes: &[u8]) -> Option<bool> {
    let mut rest = bytes.get(8..)?;
    loop {
        let (length, tail) = rest.split_first_chunk::<4>()?;
        let kind = tail.get(..4)?;
        // The chunk's type, data and checksum follow its length.
        rest = tail.get(usize::try_from(u32::from_be_bytes(*length)).ok()?.checked_add(8)?..)?;
        if kind == b"IEND" {
            return Some(true);
        }
    }
}
