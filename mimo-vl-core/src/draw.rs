//! Boxes and points drawn over an image, with their labels.

use unifont::get_glyph;

use crate::answer::{Geometry, Region};
use crate::error::{Error, Result};
use crate::media::Image;

/// The palette of Okabe and Ito ("Color Universal Design", 2008) without black.
const COLOURS: [[u8; 3]; 7] =
    [[213, 94, 0], [0, 114, 178], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233], [240, 228, 66]];

/// Height of a glyph of the bitmap font, in dots.
const GLYPH_HEIGHT: usize = 16;

/// Margin around a label, in dots.
const MARGIN: usize = 2;

/// Shorter side of an image, in pixels, for each step of the drawing scale.
const PIXELS_PER_SCALE: usize = 400;

/// Returns a copy of an image with boxes and points drawn over it, each with its label, its text, or its number from 1.
/// Equal labels have the same colour. The bitmap font includes Chinese and scales with the image.
///
/// `regions` belong to this image. If the image is a crop, their coordinates are those of the full image, and parts
/// outside of the crop are not drawn.
///
/// # Errors
/// [`Error::Internal`] for a defect of this library.
pub fn draw_regions(image: &Image, regions: &[Region]) -> Result<Image> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let scale = (width.min(height) / PIXELS_PER_SCALE).max(1);
    let mut canvas = Canvas { pixels: image.pixels().to_vec(), width, height };
    let (offset, part) = (image.offset(), image.part());
    let names: Vec<String> = regions.iter().enumerate().map(|(index, region)| name(index, region)).collect();
    for (region, name) in regions.iter().zip(&names) {
        let first = names.iter().position(|other| other == name).unwrap_or(0);
        let colour = COLOURS[first % COLOURS.len()];
        // The image may be a crop, or a video frame that was resized while it was decoded.
        let scaled = |at: f64, start: u32, size: usize, part: u32| {
            ((at - f64::from(start)) * size as f64 / f64::from(part)).round() as i64
        };
        let local = |x, y| (scaled(x, offset.0, width, part.0), scaled(y, offset.1, height, part.1));
        match &region.geometry {
            Geometry::Box(coordinates) => {
                let [x1, y1, x2, y2] = coordinates.pixels;
                let (top_left, bottom_right) = (local(x1, y1), local(x2, y2));
                canvas.frame(top_left, bottom_right, 2 * scale as i64, colour);
                canvas.label(name, top_left, bottom_right.1, scale, colour);
            }
            Geometry::Points(points) => {
                for point in points {
                    let (x, y) = local(point.pixels[0], point.pixels[1]);
                    let radius = 5 * scale as i64;
                    canvas.disc((x, y), radius + scale as i64, [255; 3]);
                    canvas.disc((x, y), radius, colour);
                    canvas.label(name, (x + radius, y - radius), y + radius, scale, colour);
                }
            }
        }
    }
    Image::from_rgb(image.width(), image.height(), 3 * width, &canvas.pixels)
        .map_err(|error| Error::internal(error.to_string()))
}

/// The text drawn beside region number `index`.
fn name(index: usize, region: &Region) -> String {
    let name = region.label.as_ref().or(region.text.as_ref()).filter(|name| !name.trim().is_empty());
    let number = || (index + 1).to_string();
    name.map_or_else(number, |name| name.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// An RGB image that is drawn on.
struct Canvas {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
}

impl Canvas {
    /// Fills a rectangle, clipped to the image; its right and bottom edges are exclusive.
    fn fill(&mut self, (x1, y1): (i64, i64), (x2, y2): (i64, i64), colour: [u8; 3]) {
        let within = |at: i64, size: usize| at.clamp(0, size as i64) as usize;
        let (x1, x2) = (within(x1, self.width), within(x2, self.width));
        for y in within(y1, self.height)..within(y2, self.height) {
            let row = &mut self.pixels[3 * (y * self.width + x1)..3 * (y * self.width + x2.max(x1))];
            row.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&colour));
        }
    }

    /// Draws the outline of a rectangle, inside its edges.
    fn frame(&mut self, (x1, y1): (i64, i64), (x2, y2): (i64, i64), line: i64, colour: [u8; 3]) {
        self.fill((x1, y1), (x2, y1 + line), colour);
        self.fill((x1, y2 - line), (x2, y2), colour);
        self.fill((x1, y1), (x1 + line, y2), colour);
        self.fill((x2 - line, y1), (x2, y2), colour);
    }

    /// Fills a circle.
    fn disc(&mut self, (x, y): (i64, i64), radius: i64, colour: [u8; 3]) {
        for dy in -radius..=radius {
            let half = ((radius * radius - dy * dy) as f64).sqrt().round() as i64;
            self.fill((x - half, y + dy), (x + half + 1, y + dy + 1), colour);
        }
    }

    /// Draws a label on a background of its colour: above `(x, y)`, or where there is no room, below `bottom`, or
    /// inside the image. A label that is too long is truncated.
    fn label(&mut self, name: &str, (x, y): (i64, i64), bottom: i64, scale: usize, colour: [u8; 3]) {
        let glyphs: Vec<_> =
            name.chars().map(|character| get_glyph(character).or_else(|| get_glyph('\u{FFFD}'))).collect();
        let dots = |count: usize| (count * scale) as i64;
        let available = self.width / scale;
        let mut used = 2 * MARGIN;
        let fitting = glyphs.into_iter().flatten().take_while(|glyph| {
            used += glyph.get_width();
            used <= available
        });
        let fitting: Vec<_> = fitting.collect();
        let label_width = dots(fitting.iter().map(|glyph| glyph.get_width()).sum::<usize>() + 2 * MARGIN);
        let label_height = dots(GLYPH_HEIGHT + 2 * MARGIN);
        let x = x.min(self.width as i64 - label_width).max(0);
        let y = match () {
            () if y >= label_height => y - label_height,
            () if bottom + label_height <= self.height as i64 => bottom,
            () => y.clamp(0, (self.height as i64 - label_height).max(0)),
        };
        self.fill((x, y), (x + label_width, y + label_height), colour);
        // Dark text on light colours.
        let [red, green, blue] = colour.map(u32::from);
        let ink = if 299 * red + 587 * green + 114 * blue > 140_000 { [0; 3] } else { [255; 3] };
        let mut start = x + dots(MARGIN);
        for glyph in fitting {
            for row in 0..GLYPH_HEIGHT {
                for column in (0..glyph.get_width()).filter(|&column| glyph.get_pixel(column, row)) {
                    let at = (start + dots(column), y + dots(MARGIN + row));
                    self.fill(at, (at.0 + scale as i64, at.1 + scale as i64), ink);
                }
            }
            start += dots(glyph.get_width());
        }
    }
}
