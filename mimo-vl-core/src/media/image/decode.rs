//! Encoded bytes to 8-bit RGB, with limits that hold before anything large is allocated.

use std::io::Cursor;

use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

/// Most pixels of one side.
const MAX_SIDE: u32 = 16_384;
/// Most bytes of the decoded samples: 134 million pixels of 8-bit RGBA.
const MAX_BYTES: u64 = 512 * 1024 * 1024;

/// A picture as a viewer would show it.
pub(super) struct Decoded {
    pub(super) width: u32,
    pub(super) height: u32,
    /// The EXIF orientation that was applied.
    pub(super) orientation: u8,
    /// `[height, width, 3]`.
    pub(super) pixels: Vec<u8>,
}

/// Decode an image file; the error says what is wrong with it.
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
    if !is_whole(format, bytes) {
        return Err(format!("the {format:?} file is cut short: its end marker is missing"));
    }
    // A damaged EXIF block must not make a sound picture unusable.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| reason(format, error))?;
    picture.apply_orientation(orientation);
    Ok(Decoded {
        width: picture.width(),
        height: picture.height(),
        orientation: orientation.to_exif(),
        pixels: rgb(picture),
    })
}

/// Refuse a picture without pixels, or with a side above the limit.
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

fn rgb(picture: DynamicImage) -> Vec<u8> {
    if !picture.color().has_alpha() {
        return picture.into_rgb8().into_raw();
    }
    let rgba = picture.into_rgba8();
    let mut pixels = Vec::with_capacity(rgba.len() / 4 * 3);
    over_white(&rgba, &mut pixels);
    pixels
}

/// Append RGBA pixels laid on white, as RGB, with the arithmetic of Pillow's `paste`.
pub(super) fn over_white(rgba: &[u8], rgb: &mut Vec<u8>) {
    for &[red, green, blue, alpha] in rgba.as_chunks::<4>().0 {
        rgb.extend([red, green, blue].map(|channel| blend(channel, alpha)));
    }
}

/// `channel` over 255: a division by 255 rounded to nearest, without a division.
fn blend(channel: u8, alpha: u8) -> u8 {
    let alpha = u32::from(alpha);
    let sum = u32::from(channel) * alpha + 255 * (255 - alpha) + 128;
    // The sum is at most 255 · 255 + 128, so the quotient is at most 255.
    ((sum + (sum >> 8)) >> 8) as u8
}

/// Whether the file reaches its end marker. The decoders fill what is missing of a JPEG with grey.
fn is_whole(format: ImageFormat, bytes: &[u8]) -> bool {
    match format {
        ImageFormat::Jpeg => jpeg_has_end(bytes).unwrap_or(false),
        ImageFormat::Png => png_has_end(bytes).unwrap_or(false),
        _ => true,
    }
}

/// Walk the segments and scans of a JPEG (ITU-T T.81, B.1.1) to its EOI marker; `None` when the data ends before.
///
/// A search for the two bytes would find the EOI of a thumbnail within the metadata.
fn jpeg_has_end(bytes: &[u8]) -> Option<bool> {
    const SOI: u8 = 0xD8;
    const EOI: u8 = 0xD9;
    let mut at = 0;
    loop {
        // Up to the next marker: entropy-coded data has 0x00 after a 0xFF, or a restart marker.
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

/// Whether the byte after a 0xFF makes a marker that ends entropy-coded data.
fn is_marker(byte: u8) -> bool {
    const TEM: u8 = 0x01;
    !matches!(byte, 0x00 | TEM | 0xD0..=0xD7 | 0xFF)
}

/// Walk the chunks of a PNG to its IEND chunk; `None` when the data ends before.
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
