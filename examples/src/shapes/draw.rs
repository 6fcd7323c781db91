//! A scene as pixels.

use mimo_vl_core::{Image, Result};

use super::backdrop::{backdrop, noise};
use super::figure::Figure;
use super::palette::shade;
use super::patch_class;
use super::random::Random;
use super::scene::{Object, Scene};

/// Sample lines per row of pixels for smooth edges.
const SMOOTH: usize = 4;

/// An object of an image, for supervision and scoring.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Annotation {
    /// Left, top, right and bottom of the painted pixels, in pixels of the image; for a button its center, twice.
    pub bounds: [f64; 4],
    /// Class, above 0 and below [`PATCH_CLASSES`](super::PATCH_CLASSES).
    pub class: u32,
}

/// A drawn image with its objects.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotatedImage {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Rows of red, green and blue, without padding: `[height, width, 3]`.
    pub pixels: Vec<u8>,
    /// Objects, in the order in which they were drawn.
    pub annotations: Vec<Annotation>,
}

impl AnnotatedImage {
    /// Converts to an image of the library.
    ///
    /// # Errors
    /// Those of [`Image::from_rgb`].
    pub fn to_image(&self) -> Result<Image> {
        Image::from_rgb(self.width, self.height, 3 * self.width as usize, &self.pixels)
    }

    /// Fills a rectangle, clipped to the image.
    pub(crate) fn fill(&mut self, [left, top, right, bottom]: [u32; 4], colour: [u8; 3]) {
        let (left, right) = (left.min(self.width) as usize, right.min(self.width) as usize);
        for row in top..bottom.min(self.height) {
            let start = row as usize * self.width as usize;
            let pixels = &mut self.pixels[3 * (start + left)..3 * (start + right.max(left))];
            pixels.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&colour));
        }
    }
}

/// Draws a scene. `rng` chooses what the scene leaves open: background, exact colours, proportions, rotation, and
/// smooth or hard edges.
pub fn draw(scene: &Scene, rng: &mut Random) -> AnnotatedImage {
    let mut image = backdrop(scene.width, scene.height, rng);
    let samples = if rng.chance(0.7) { SMOOTH } else { 1 };
    let outlined = rng.chance(0.08);
    for object in &scene.objects {
        let colour = shade(object.colour, rng);
        let figure = Figure::of(object, rng);
        if outlined {
            let dark = if rng.chance(0.3) { [20; 3] } else { colour.map(|value| (u16::from(value) * 5 / 8) as u8) };
            let width = rng.between(1.0, 2.0);
            fill(&mut image, &figure, object, dark, samples);
            fill(&mut image, &figure.inset(width), object, colour, samples);
        } else {
            fill(&mut image, &figure, object, colour, samples);
        }
        image.annotations.push(Annotation { bounds: figure.bounds(), class: patch_class::of_object(object) });
    }
    if rng.chance(0.05) {
        let amplitude = rng.within(2, 8);
        noise(&mut image, amplitude, rng);
    }
    image
}

/// Paints the figure within the box of its object. With one sample line, a pixel is painted when its center is covered;
/// with more, it is blended by the covered length of the lines through it.
fn fill(image: &mut AnnotatedImage, figure: &Figure, object: &Object, colour: [u8; 3], samples: usize) {
    let (left, width) = (f64::from(object.left), object.size as usize);
    let mut cover = vec![0.0f64; width];
    let mut crossings = Vec::with_capacity(12);
    for row in object.top..object.top + object.size {
        cover.fill(0.0);
        for sample in 0..samples {
            figure.crossings(f64::from(row) + (sample as f64 + 0.5) / samples as f64, &mut crossings);
            for span in crossings.chunks_exact(2) {
                let (from, to) = ((span[0] - left).max(0.0), (span[1] - left).min(width as f64));
                if samples == 1 { cover_centres(&mut cover, from, to) } else { cover_lengths(&mut cover, from, to) }
            }
        }
        let start = (row as usize * image.width as usize + object.left as usize) * 3;
        let pixels = image.pixels[start..start + width * 3].chunks_exact_mut(3);
        for (pixel, &covered) in pixels.zip(&cover) {
            blend(pixel, colour, covered / samples as f64);
        }
    }
}

fn cover_centres(cover: &mut [f64], from: f64, to: f64) {
    let (first, end) = ((from + 0.5).floor() as usize, (to + 0.5).floor() as usize);
    if let Some(inside) = cover.get_mut(first..end) {
        inside.fill(1.0);
    }
}

fn cover_lengths(cover: &mut [f64], from: f64, to: f64) {
    if from >= to {
        return;
    }
    let (first, last) = (from as usize, (to as usize).min(cover.len() - 1));
    if first == last {
        cover[first] += to - from;
        return;
    }
    cover[first] += (first + 1) as f64 - from;
    cover[first + 1..last].iter_mut().for_each(|covered| *covered += 1.0);
    cover[last] += to - last as f64;
}

fn blend(pixel: &mut [u8], colour: [u8; 3], share: f64) {
    if share <= 0.0 {
        return;
    }
    for (value, goal) in pixel.iter_mut().zip(colour) {
        let mixed = f64::from(*value) + (f64::from(goal) - f64::from(*value)) * share;
        *value = (mixed + 0.5) as u8;
    }
}
