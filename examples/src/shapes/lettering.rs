//! Text in a picture, in the dots of a bitmap font.

use unifont::get_glyph;

use super::checkpoint::TOKEN_SIDE;
use super::draw::Picture;

/// Side of a dot, in pixels.
pub(crate) const SCALE: u32 = 2;
/// Height of a letter, in pixels; a Latin letter is half as wide, a Chinese one as wide.
pub(crate) const HEIGHT: u32 = 16 * SCALE;

/// Width of a text, in pixels.
pub(crate) fn width(text: &str) -> u32 {
    text.chars().filter_map(get_glyph).map(|glyph| glyph.get_width() as u32 * SCALE).sum()
}

/// The nearest side of a picture that the model sees without resizing, so that dots stay sharp.
pub(crate) fn whole_tokens(side: u32) -> u32 {
    let token = TOKEN_SIDE as u32;
    (side + token / 2) / token * token
}

/// Write a text with its upper left corner at `(left, top)`, as far as it is in the picture. Gives the edges of the ink of every
/// letter.
pub(crate) fn write(picture: &mut Picture, text: &str, (left, top): (u32, i32), ink: [u8; 3]) -> Vec<[f64; 4]> {
    let mut start = left;
    let mut letters = Vec::new();
    for glyph in text.chars().filter_map(get_glyph) {
        let mut edges = [u32::MAX, u32::MAX, 0, 0];
        for row in 0..HEIGHT / SCALE {
            for column in (0..glyph.get_width() as u32).filter(|&column| glyph.get_pixel(column as usize, row as usize))
            {
                let Some(y) = (row * SCALE).checked_add_signed(top) else { continue };
                let x = start + column * SCALE;
                picture.fill([x, y, x + SCALE, y + SCALE], ink);
                edges = [edges[0].min(x), edges[1].min(y), edges[2].max(x + SCALE), edges[3].max(y + SCALE)];
            }
        }
        letters.push(edges.map(f64::from));
        start += glyph.get_width() as u32 * SCALE;
    }
    letters
}
