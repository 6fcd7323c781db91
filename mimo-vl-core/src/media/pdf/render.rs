//! One page drawn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hayro::hayro_interpret::util::TransformExt;
use hayro::hayro_interpret::{InterpreterSettings, InterpreterWarning};
use hayro::hayro_syntax::object::Object;
use hayro::hayro_syntax::object::dict::keys::CONTENTS;
use hayro::hayro_syntax::page::Page;
use hayro::kurbo::Affine;
use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::vello_cpu::{Pixmap, RasterizerSettings, RenderContext, Resources, TargetInit};
use hayro::{RenderCache, RenderSettings, render_into};

use super::PdfOptions;
use crate::error::{Error, Result};

const POINTS_PER_INCH: f64 = 72.0;
/// Most pixels on a side of a picture.
const MAX_SIDE: f64 = 16_384.0;

/// A page as the thread that drew it hands it over.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) width: u16,
    pub(super) height: u16,
    /// Red, green and blue, rows from the top, without gaps.
    pub(super) pixels: Vec<u8>,
    /// Width and height in points, as shown.
    pub(super) size: (f64, f64),
    /// From points of the page to pixels.
    pub(super) to_pixels: Affine,
    /// How long drawing took.
    pub(super) time: Duration,
}

/// How the pages of a file are drawn; what cannot be drawn is left out with a warning.
pub(super) fn settings(name: &str) -> InterpreterSettings {
    let name = name.to_owned();
    let warning_sink = Arc::new(move |warning| {
        let left_out = match warning {
            InterpreterWarning::UnsupportedFont => "text, whose font cannot be read",
            InterpreterWarning::ImageDecodeFailure => "a picture, which cannot be decoded",
            _ => "a note or a field of a form",
        };
        tracing::warn!(file = name, left_out, "a page of a PDF file is not drawn as a whole");
    });
    InterpreterSettings { warning_sink, ..InterpreterSettings::default() }
}

/// Draw a page, on white. `what` names it in errors.
pub(super) fn draw<'a>(
    what: &str,
    page: &'a Page<'a>,
    cache: &RenderCache<'a>,
    settings: &InterpreterSettings,
    options: &PdfOptions,
) -> Result<Drawn> {
    let (size, start) = (size(what, page)?, Instant::now());
    let (width, height) = pixels(size, options);
    let scale = Affine::scale_non_uniform(f64::from(width) / size.0, f64::from(height) / size.1);
    let to_pixels = scale * page.initial_transform(true).to_kurbo();
    if !to_pixels.is_finite() || !to_pixels.inverse().is_finite() {
        return Err(Error::image(what, "the page's size is out of all bounds"));
    }
    if page.page_stream().is_none() && !is_empty(page) {
        return Err(Error::image(what, "the page's contents are missing or damaged"));
    }
    let mut context = RenderContext::new(width, height);
    render_into(page, cache, settings, &RenderSettings::default(), &mut context, to_pixels);
    context.flush();
    let mut pixmap = Pixmap::new(width, height);
    let white = RasterizerSettings { target_init: TargetInit::Clear(WHITE), ..RasterizerSettings::default() };
    context.render_with(&mut pixmap, &mut Resources::default(), white);
    // All is opaque, as it was laid on white.
    let pixels = pixmap.data().iter().flat_map(|pixel| [pixel.r, pixel.g, pixel.b]).collect();
    Ok(Drawn { width, height, pixels, size, to_pixels, time: start.elapsed() })
}

/// Whether a page is without contents on purpose.
fn is_empty(page: &Page<'_>) -> bool {
    !page.raw().contains_key(CONTENTS) || matches!(page.raw().get(CONTENTS), Some(Object::Null(_)))
}

/// Width and height of a page in points, as shown.
fn size(what: &str, page: &Page<'_>) -> Result<(f64, f64)> {
    let shown = page.intersected_crop_box();
    let (width, height) = (shown.width(), shown.height());
    if !width.is_finite() || !height.is_finite() {
        return Err(Error::image(what, "the page's size is out of all bounds"));
    }
    if width <= 0.0 || height <= 0.0 {
        return Err(Error::image(what, "the page has no area: its media box and its crop box have none in common"));
    }
    let (width, height) = page.render_dimensions();
    Ok((f64::from(width), f64::from(height)))
}

/// Width and height of a page's picture: in the wanted resolution, or in the best that its limits allow.
fn pixels((width, height): (f64, f64), options: &PdfOptions) -> (u16, u16) {
    let budget = f64::from(options.max_pixels);
    let scale = (f64::from(options.dpi) / POINTS_PER_INCH)
        .min((budget / (width * height)).sqrt())
        .min(MAX_SIDE / width.max(height));
    let (short, long) = (width.min(height), width.max(height));
    // QuantizationError, and the pixel that a narrow page has at least, must not exceed the budget.
    let short = (short * scale).round().clamp(1.0, MAX_SIDE.min(budget));
    let long = (long * scale).round().clamp(1.0, MAX_SIDE.min((budget / short).floor()));
    if width <= height { (short as u16, long as u16) } else { (long as u16, short as u16) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_stays_within_its_limits() {
        let sizes =
            [(612.0, 792.0), (1.0, 1e9), (1e9, 1.0), (1e30, 1e30), (1.0, 1.0), (3.0, 14_400.0), (f64::MAX, 1.0)];
        for (size, max_pixels) in sizes.into_iter().flat_map(|size| [1, 2, 3, 100, 784_001].map(|most| (size, most))) {
            for dpi in [f32::MIN_POSITIVE, 144.0, f32::MAX] {
                let options = PdfOptions::new().max_pixels(max_pixels).dpi(dpi);
                let (width, height) = pixels(size, &options);
                assert!(width > 0 && height > 0, "{size:?} {options:?}");
                assert!(u32::from(width) * u32::from(height) <= max_pixels, "{size:?} {options:?}: {width}x{height}");
                assert!(width <= 16_384 && height <= 16_384, "{size:?} {options:?}: {width}x{height}");
            }
        }
        assert_eq!(pixels((612.0, 792.0), &PdfOptions::new()), (1224, 1584));
    }
}
