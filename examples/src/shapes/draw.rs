//! A scene as pixels.

use mimo_vl_core::{Image, Result};

use super::backdrop::{backdrop, noise};
use super::figure::Figure;
use super::kinds;
use super::palette::shade;
use super::random::Random;
use super::scene::{Object, Scene};

/// Rows of samples in a row of pixels where edges are smooth.
const SMOOTH: usize = 4;

/// Something that a picture shows, and where.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// Left, top, right and bottom edge of what is painted, in pixels of the picture; of what is to be clicked, its middle
    /// twice.
    pub edges: [f64; 4],
    /// What it is: a number above 0 and below [`KINDS`](super::KINDS).
    pub kind: u32,
}

/// A drawn picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Rows of red, green and blue, without padding: `[height, width, 3]`.
    pub pixels: Vec<u8>,
    /// What is drawn, in the order in which it was.
    pub marks: Vec<Mark>,
}

impl Picture {
    /// The picture as the library takes it.
    ///
    /// # Errors
    /// Those of [`Image::from_rgb`].
    pub fn image(&self) -> Result<Image> {
        Image::from_rgb(self.width, self.height, 3 * self.width as usize, &self.pixels)
    }

    /// Paint a rectangle, as far as it lies in the picture.
    pub(crate) fn fill(&mut self, [left, top, right, bottom]: [u32; 4], colour: [u8; 3]) {
        let (left, right) = (left.min(self.width) as usize, right.min(self.width) as usize);
        for row in top..bottom.min(self.height) {
            let start = row as usize * self.width as usize;
            let pixels = &mut self.pixels[3 * (start + left)..3 * (start + right.max(left))];
            pixels.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&colour));
        }
    }
}

/// Draw a scene. What the scene leaves open (background, exact colours, proportions and rotation, smooth
/// or hard edges) comes from `rng`.
pub fn draw(scene: &Scene, rng: &mut Random) -> Picture {
    let mut picture = backdrop(scene.width, scene.height, rng);
    let samples = if rng.chance(0.7) { SMOOTH } else { 1 };
    let outlined = rng.chance(0.08);
    for object in &scene.objects {
        let colour = shade(object.colour, rng);
        let figure = Figure::of(object, rng);
        if outlined {
            let dark = if rng.chance(0.3) { [20; 3] } else { colour.map(|value| (u16::from(value) * 5 / 8) as u8) };
            let width = rng.between(1.0, 2.0);
            fill(&mut picture, &figure, object, dark, samples);
            fill(&mut picture, &figure.inset(width), object, colour, samples);
        } else {
            fill(&mut picture, &figure, object, colour, samples);
        }
        picture.marks.push(Mark { edges: figure.bounds(), kind: kinds::of_object(object) });
    }
    if rng.chance(0.05) {
        let amplitude = rng.within(2, 8);
        noise(&mut picture, amplitude, rng);
    }
    picture
}

/// Paint what the figure covers of the object's box. With one sample a pixel is painted when its centre is
/// covered; with more, in proportion to the covered length of that many lines through it.
fn fill(picture: &mut Picture, figure: &Figure, object: &Object, colour: [u8; 3], samples: usize) {
    let (left, width) = (f64::from(object.left), object.size as usize);
    let mut cover = vec![0.0f64; width];
    let mut places = Vec::with_capacity(12);
    for row in object.top..object.top + object.size {
        cover.fill(0.0);
        for sample in 0..samples {
            figure.crossings(f64::from(row) + (sample as f64 + 0.5) / samples as f64, &mut places);
            for span in places.chunks_exact(2) {
                let (from, to) = ((span[0] - left).max(0.0), (span[1] - left).min(width as f64));
                if samples == 1 { cover_centres(&mut cover, from, to) } else { cover_lengths(&mut cover, from, to) }
            }
        }
        let start = (row as usize * picture.width as usize + object.left as usize) * 3;
        let pixels = picture.pixels[start..start + width * 3].chunks_exact_mut(3);
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
