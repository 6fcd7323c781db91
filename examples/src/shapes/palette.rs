//! RGB values of the named colours.

use super::random::Random;
use super::scene::Colour;

/// Values in common use: primary colours, those of HTML, of plotting libraries and of design systems.
fn values(colour: Colour) -> &'static [[u8; 3]] {
    match colour {
        Colour::Red => &[
            [255, 0, 0],
            [255, 0, 0],
            [220, 20, 60],
            [200, 30, 30],
            [230, 50, 50],
            [220, 40, 40],
            [214, 39, 40],
            [190, 10, 20],
            [231, 76, 60],
            [244, 67, 54],
            [229, 57, 53],
            [204, 0, 0],
        ],
        Colour::Green => &[
            [0, 128, 0],
            [0, 128, 0],
            [0, 200, 0],
            [0, 255, 0],
            [40, 160, 60],
            [34, 139, 34],
            [44, 160, 44],
            [46, 204, 113],
            [76, 175, 80],
            [30, 180, 60],
            [50, 205, 50],
            [0, 100, 0],
            [60, 179, 113],
        ],
        Colour::Blue => &[
            [0, 0, 255],
            [0, 0, 255],
            [30, 60, 220],
            [30, 80, 220],
            [65, 105, 225],
            [30, 144, 255],
            [33, 150, 243],
            [31, 119, 180],
            [52, 152, 219],
            [0, 90, 200],
            [40, 70, 200],
            [0, 0, 190],
        ],
        Colour::Yellow => &[
            [255, 255, 0],
            [255, 255, 0],
            [240, 220, 40],
            [250, 220, 30],
            [255, 215, 0],
            [255, 235, 59],
            [241, 206, 15],
            [240, 210, 20],
            [245, 225, 50],
            [230, 210, 0],
        ],
        Colour::Purple => &[
            [128, 0, 128],
            [128, 0, 128],
            [160, 32, 240],
            [148, 0, 211],
            [138, 43, 226],
            [140, 40, 180],
            [155, 89, 182],
            [156, 39, 176],
            [148, 103, 189],
            [130, 40, 160],
            [150, 50, 200],
            [102, 30, 150],
        ],
        Colour::Orange => &[
            [255, 165, 0],
            [255, 165, 0],
            [255, 140, 0],
            [250, 120, 20],
            [255, 127, 14],
            [230, 126, 34],
            [255, 152, 0],
            [240, 140, 20],
            [245, 130, 30],
            [250, 150, 30],
        ],
        Colour::Black => &[[0, 0, 0], [0, 0, 0], [10, 10, 10], [20, 20, 20], [25, 25, 30], [30, 30, 30], [33, 33, 33]],
    }
}

/// Draws a value of the colour, in two of three cases with a small offset in every channel.
pub(crate) fn shade(colour: Colour, rng: &mut Random) -> [u8; 3] {
    let value = rng.pick(values(colour));
    if rng.chance(0.35) {
        return value;
    }
    let reach = if matches!(colour, Colour::Yellow | Colour::Orange) { 7 } else { 11 };
    value.map(|channel| (i32::from(channel) + rng.within(-reach, reach)).clamp(0, 255) as u8)
}
