//! Text in a picture, in the dots of a bitmap font.

use unifont::get_glyph;

use super::draw::Picture;

/// Height of a letter, in dots; a Latin letter is half as wide, a Chinese one as wide.
pub(crate) const HEIGHT: u32 = 16;

/// Width of a text, in dots.
pub(crate) fn width(text: &str) -> u32 {
    text.chars().filter_map(get_glyph).map(|glyph| glyph.get_width() as u32).sum()
}

/// Write a text with its upper left corner at `(left, top)`, each dot `scale` pixels wide and high. Gives the edges of the
/// ink of every letter.
pub(crate) fn write(
    picture: &mut Picture,
    text: &str,
    (left, top): (u32, u32),
    scale: u32,
    ink: [u8; 3],
) -> Vec<[f64; 4]> {
    let mut start = left;
    let mut letters = Vec::new();
    for glyph in text.chars().filter_map(get_glyph) {
        let mut edges = [u32::MAX, u32::MAX, 0, 0];
        for row in 0..HEIGHT {
            for column in (0..glyph.get_width() as u32).filter(|&column| glyph.get_pixel(column as usize, row as usize))
            {
                let (x, y) = (start + column * scale, top + row * scale);
                picture.fill([x, y, x + scale, y + scale], ink);
                edges = [edges[0].min(x), edges[1].min(y), edges[2].max(x + scale), edges[3].max(y + scale)];
            }
        }
        letters.push(edges.map(f64::from));
        start += glyph.get_width() as u32 * scale;
    }
    letters
}
