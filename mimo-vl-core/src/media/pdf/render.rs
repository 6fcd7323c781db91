//! Rendering of one page.

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
/// Maximum pixels on a side of an image.
const MAX_SIDE: f64 = 16_384.0;

/// A rendered page.
#[derive(Debug)]
pub(super) struct RenderedPage {
    pub(super) width: u16,
    pub(super) height: u16,
    /// `[height, width, 3]`: red, green, blue, rows from the top, without gaps.
    pub(super) pixels: Vec<u8>,
    /// Width and height in points, after the page was cropped and rotated.
    pub(super) size: (f64, f64),
    /// Map from points of the page to pixels.
    pub(super) to_pixels: Affine,
    /// Time that rendering took.
    pub(super) time: Duration,
}

/// Settings of the renderer. Content that cannot be rendered is left out with a warning.
pub(super) fn settings(name: &str) -> InterpreterSettings {
    let name = name.to_owned();
    let warning_sink = Arc::new(move |warning| {
        let left_out = match warning {
            InterpreterWarning::UnsupportedFont => "text, whose font cannot be read",
            InterpreterWarning::ImageDecodeFailure => "an image, which cannot be decoded",
            _ => "an annotation or a form field",
        };
        tracing::warn!(file = name, left_out, "content of a PDF page is left out");
    });
    InterpreterSettings { warning_sink, ..InterpreterSettings::default() }
}

/// Renders a page on white. `name` names it in errors.
pub(super) fn render<'a>(
    name: &str,
    page: &'a Page<'a>,
    cache: &RenderCache<'a>,
    settings: &InterpreterSettings,
    options: &PdfOptions,
) -> Result<RenderedPage> {
    let (size, start) = (page_size(name, page)?, Instant::now());
    let (width, height) = image_size(size, options);
    let scale = Affine::scale_non_uniform(f64::from(width) / size.0, f64::from(height) / size.1);
    let to_pixels = scale * page.initial_transform(true).to_kurbo();
    if !to_pixels.is_finite() || !to_pixels.inverse().is_finite() {
        return Err(Error::image(name, "the page's size is out of all bounds"));
    }
    if page.page_stream().is_none() && !is_empty(page) {
        return Err(Error::image(name, "the page's contents are missing or damaged"));
    }
    let mut context = RenderContext::new(width, height);
    render_into(page, cache, settings, &RenderSettings::default(), &mut context, to_pixels);
    context.flush();
    let mut pixmap = Pixmap::new(width, height);
    let white = RasterizerSettings { target_init: TargetInit::Clear(WHITE), ..RasterizerSettings::default() };
    context.render_with(&mut pixmap, &mut Resources::default(), white);
    // Every pixel is opaque, because the page was rendered on white.
    let pixels = pixmap.data().iter().flat_map(|pixel| [pixel.r, pixel.g, pixel.b]).collect();
    Ok(RenderedPage { width, height, pixels, size, to_pixels, time: start.elapsed() })
}

/// True if the page has no contents by intention.
fn is_empty(page: &Page<'_>) -> bool {
    !page.raw().contains_key(CONTENTS) || matches!(page.raw().get(CONTENTS), Some(Object::Null(_)))
}

/// Width and height of a page in points, after it was cropped and rotated.
fn page_size(name: &str, page: &Page<'_>) -> Result<(f64, f64)> {
    let shown = page.intersected_crop_box();
    let (width, height) = (shown.width(), shown.height());
    if !width.is_finite() || !height.is_finite() {
        return Err(Error::image(name, "the page's size is out of all bounds"));
    }
    if width <= 0.0 || height <= 0.0 {
        return Err(Error::image(name, "the page has no area: its media box and its crop box have none in common"));
    }
    let (width, height) = page.render_dimensions();
    Ok((f64::from(width), f64::from(height)))
}

/// Width and height of a page's image, at the requested resolution or the highest that the limits allow.
fn image_size((width, height): (f64, f64), options: &PdfOptions) -> (u16, u16) {
    let budget = f64::from(options.max_pixels);
    let scale = (f64::from(options.dpi) / POINTS_PER_INCH)
        .min((budget / (width * height)).sqrt())
        .min(MAX_SIDE / width.max(height));
    let (short, long) = (width.min(height), width.max(height));
    // Neither rounding nor the minimum of one pixel of a narrow page may exceed the budget.
    let short = (short * scale).round().clamp(1.0, MAX_SIDE.min(budget));
    let long = (long * scale).round().clamp(1.0, MAX_SIDE.min((budget / short).floor()));
    if width <= height { (short as u16, long as u16) } else { (long as u16, short as u16) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_stays_within_its_limits() {
        let sizes =
            [(612.0, 792.0), (1.0, 1e9), (1e9, 1.0), (1e30, 1e30), (1.0, 1.0), (3.0, 14_400.0), (f64::MAX, 1.0)];
        for (size, max_pixels) in sizes.into_iter().flat_map(|size| [1, 2, 3, 100, 784_001].map(|max| (size, max))) {
            for dpi in [f32::MIN_POSITIVE, 144.0, f32::MAX] {
                let options = PdfOptions::new().max_pixels(max_pixels).dpi(dpi);
                let (width, height) = image_size(size, &options);
                assert!(width > 0 && height > 0, "{size:?} {options:?}");
                assert!(u32::from(width) * u32::from(height) <= max_pixels, "{size:?} {options:?}: {width}x{height}");
                assert!(width <= 16_384 && height <= 16_384, "{size:?} {options:?}: {width}x{height}");
            }
        }
        assert_eq!(image_size((612.0, 792.0), &PdfOptions::new()), (1224, 1584));
    }
}
