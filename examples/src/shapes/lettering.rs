//! Text in the dots of a bitmap font.

use unifont::get_glyph;

use super::checkpoint::TOKEN_SIDE;
use super::draw::AnnotatedImage;

/// Side of a dot, in pixels.
pub(crate) const SCALE: u32 = 2;
/// Height of a character, in pixels; a Latin one is half as wide, a Chinese one as wide.
pub(crate) const HEIGHT: u32 = 16 * SCALE;

/// Width of a text, in pixels.
pub(crate) fn width(text: &str) -> u32 {
    text.chars().filter_map(get_glyph).map(|glyph| glyph.get_width() as u32 * SCALE).sum()
}

/// Rounds a side to the nearest multiple of a token, which is not resized, so that dots stay sharp.
pub(crate) fn whole_tokens(side: u32) -> u32 {
    let token = TOKEN_SIDE as u32;
    (side + token / 2) / token * token
}

/// Writes a text with its upper left corner at `(left, top)`, clipped to the image. Returns the bounds of the ink of
/// every character.
pub(crate) fn write(image: &mut AnnotatedImage, text: &str, (left, top): (u32, i32), ink: [u8; 3]) -> Vec<[f64; 4]> {
    let mut start = left;
    let mut letters = Vec::new();
    for glyph in text.chars().filter_map(get_glyph) {
        let mut bounds = [u32::MAX, u32::MAX, 0, 0];
        for row in 0..HEIGHT / SCALE {
            for column in (0..glyph.get_width() as u32).filter(|&column| glyph.get_pixel(column as usize, row as usize))
            {
                let Some(y) = (row * SCALE).checked_add_signed(top) else { continue };
                let x = start + column * SCALE;
                image.fill([x, y, x + SCALE, y + SCALE], ink);
                bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x + SCALE), bounds[3].max(y + SCALE)];
            }
        }
        letters.push(bounds.map(f64::from));
        start += glyph.get_width() as u32 * SCALE;
    }
    letters
}
