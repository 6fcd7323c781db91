//! Light backgrounds: plain, or with a faint texture.

use super::draw::AnnotatedImage;
use super::random::Random;

/// Smallest value of a background channel.
const DARKEST: i32 = 190;

/// Draws a background. A texture mixes a base with a second light colour close to it.
pub(crate) fn backdrop(width: u32, height: u32, rng: &mut Random) -> AnnotatedImage {
    let base = base_colour(rng);
    let mut image = AnnotatedImage {
        width,
        height,
        pixels: base.repeat(width as usize * height as usize),
        annotations: Vec::new(),
    };
    let textured = rng.chance(0.55);
    if textured {
        let second = near(base, rng);
        let table = mixtures(base, second);
        match rng.below(6) {
            0 => gradient(&mut image, &table, rng),
            1 => stripes(&mut image, &table, rng),
            2 => checks(&mut image, &table, rng),
            3 => lines(&mut image, &table, rng),
            4 => speckle(&mut image, &table, rng),
            _ => {}
        }
        if rng.chance(0.6) {
            let amplitude = rng.within(2, 14);
            noise(&mut image, amplitude, rng);
        }
    }
    image
}

fn base_colour(rng: &mut Random) -> [u8; 3] {
    match rng.weighted(&[30, 30, 40]) {
        0 => [255; 3],
        1 => [rng.within(215, 255) as u8; 3],
        _ => [(); 3].map(|()| rng.within(205, 255) as u8),
    }
}

fn near(base: [u8; 3], rng: &mut Random) -> [u8; 3] {
    let common = rng.within(-26, 10);
    base.map(|channel| (i32::from(channel) + common + rng.within(-8, 8)).clamp(DARKEST, 255) as u8)
}

/// The colours between two, in 256 steps.
fn mixtures(a: [u8; 3], b: [u8; 3]) -> [[u8; 3]; 256] {
    let mut table = [a; 256];
    for (step, entry) in table.iter_mut().enumerate() {
        for (value, (&from, &to)) in entry.iter_mut().zip(a.iter().zip(&b)) {
            let moved = (i32::from(to) - i32::from(from)) * step as i32 / 255;
            *value = (i32::from(from) + moved) as u8;
        }
    }
    table
}

/// Sets every pixel to entry `choose(x, y)` of the table.
fn paint(image: &mut AnnotatedImage, table: &[[u8; 3]; 256], choose: impl Fn(i32, i32) -> u8) {
    let width = image.width as usize;
    for (y, row) in image.pixels.chunks_exact_mut(width * 3).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
            pixel.copy_from_slice(&table[usize::from(choose(x as i32, y as i32))]);
        }
    }
}

fn gradient(image: &mut AnnotatedImage, table: &[[u8; 3]; 256], rng: &mut Random) {
    let (across, down) = rng.pick(&[(1, 0), (0, 1), (1, 1), (2, 1), (1, 2)]);
    let span = (across * image.width as i32 + down * image.height as i32).max(1);
    // 16 fractional bits; the largest sum stays below 256 of them.
    let unit = (255 << 16) / span;
    paint(image, table, |x, y| (((x * across + y * down) * unit) >> 16).clamp(0, 255) as u8);
}

fn stripes(image: &mut AnnotatedImage, table: &[[u8; 3]; 256], rng: &mut Random) {
    let (across, down) = rng.pick(&[(1, 0), (0, 1), (1, 1), (1, 2)]);
    let period = rng.within(3, 24);
    paint(image, table, |x, y| if ((x * across + y * down) / period) % 2 == 0 { 0 } else { 255 });
}

fn checks(image: &mut AnnotatedImage, table: &[[u8; 3]; 256], rng: &mut Random) {
    let period = rng.within(4, 28);
    paint(image, table, |x, y| if (x / period + y / period) % 2 == 0 { 0 } else { 255 });
}

fn lines(image: &mut AnnotatedImage, table: &[[u8; 3]; 256], rng: &mut Random) {
    let period = rng.within(8, 30);
    paint(image, table, |x, y| if x % period == 0 || y % period == 0 { 255 } else { 0 });
}

fn speckle(image: &mut AnnotatedImage, table: &[[u8; 3]; 256], rng: &mut Random) {
    let area = (image.width * image.height) as usize;
    let side = rng.below(2) + 1;
    for _ in 0..area / (20 + rng.below(80)) {
        let x = rng.below(image.width as usize + 1 - side);
        let y = rng.below(image.height as usize + 1 - side);
        let colour = table[rng.below(256)];
        for row in y..y + side {
            let start = (row * image.width as usize + x) * 3;
            image.pixels[start..start + side * 3].chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&colour));
        }
    }
}

/// Adds triangular noise of at most `amplitude` levels, the same in all channels or not.
pub(crate) fn noise(image: &mut AnnotatedImage, amplitude: i32, rng: &mut Random) {
    let channels = if rng.chance(0.5) { 1 } else { 3 };
    for block in image.pixels.chunks_mut(4 * 3 / channels) {
        let mut bits = rng.bits();
        for values in block.chunks_mut(3 / channels) {
            let (a, b) = ((bits & 255) as i32, (bits >> 8 & 255) as i32);
            bits >>= 16;
            let moved = ((a - b) * amplitude) >> 8;
            for value in values {
                *value = (i32::from(*value) + moved).clamp(0, 255) as u8;
            }
        }
    }
}
