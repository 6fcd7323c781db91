//! The directions of scrolling, and the drags that scroll.

use std::str::FromStr;

use crate::error::{Error, Result};

/// Shortest drag that has a direction, in pixels.
const MIN_DRAG: f64 = 1e-9;

/// The direction in which a view is scrolled: [`Down`](Self::Down) shows the content further down, so a finger moves
/// up.
///
/// The published data is not consistent: drags follow this convention, while the evaluation code of MiMo-VL's authors
/// reads up and down of the model's own `scroll` the other way round (see [`flipped`](Self::flipped)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Shows the content further up.
    Up,
    /// Shows the content further down.
    Down,
    /// Shows the content further left.
    Left,
    /// Shows the content further right.
    Right,
}

impl Direction {
    /// Every direction.
    pub const ALL: [Self; 4] = [Self::Up, Self::Down, Self::Left, Self::Right];

    /// The model's word for the direction.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    /// Swaps up and down, as the authors' evaluation does for the model's `scroll`.
    #[must_use]
    pub fn flipped(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
            other => other,
        }
    }

    /// The direction that a drag from `start` to `end` scrolls; `None` when it does not move. The vertical direction
    /// wins a tie.
    pub fn from_drag(start: [f64; 2], end: [f64; 2]) -> Option<Self> {
        let (x, y) = (end[0] - start[0], end[1] - start[1]);
        if x.abs().max(y.abs()) < MIN_DRAG {
            return None;
        }
        Some(match y.abs() >= x.abs() {
            true if y < 0.0 => Self::Down,
            true => Self::Up,
            false if x < 0.0 => Self::Right,
            false => Self::Left,
        })
    }

    /// Start and end of a drag that scrolls a screen of `width` by `height` pixels in this direction: from the center,
    /// by 0.3 of the side.
    pub fn to_drag(self, width: f64, height: f64) -> [[f64; 2]; 2] {
        let [x, y] = match self {
            Self::Up => [0.5, 0.8],
            Self::Down => [0.5, 0.2],
            Self::Left => [0.8, 0.5],
            Self::Right => [0.2, 0.5],
        };
        [[0.5 * width, 0.5 * height], [x * width, y * height]]
    }
}

impl FromStr for Direction {
    type Err = Error;

    /// # Errors
    /// [`Error::Answer`] for another word.
    fn from_str(name: &str) -> Result<Self> {
        let direction = Self::ALL.into_iter().find(|direction| direction.name() == name);
        direction.ok_or_else(|| Error::answer(format!("{name:?} is none of the directions up, down, left, right")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drags_scroll_in_their_direction() {
        for direction in Direction::ALL {
            let [start, end] = direction.to_drag(1000.0, 500.0);
            assert_eq!(start, [500.0, 250.0]);
            assert_eq!(Direction::from_drag(start, end), Some(direction));
            assert_eq!(direction.flipped().flipped(), direction);
        }
        assert_eq!(Direction::from_drag([1.0, 1.0], [1.0, 1.0]), None);
    }
}
