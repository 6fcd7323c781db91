//! Scenes: coloured shapes at positions.

use super::random::Random;

/// Shapes, in the order in which captions list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// A disc.
    Circle,
    /// A square, nearly always upright.
    Square,
    /// A triangle, nearly always standing on a side.
    Triangle,
    /// A star, nearly always with five points.
    Star,
}

impl Shape {
    /// Every shape, in order.
    pub const ALL: [Self; 4] = [Self::Circle, Self::Square, Self::Triangle, Self::Star];
}

/// Colours, in the order in which captions list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Colour {
    /// Red.
    Red,
    /// Green.
    Green,
    /// Blue.
    Blue,
    /// Yellow.
    Yellow,
    /// Purple.
    Purple,
    /// Orange.
    Orange,
    /// Black.
    Black,
}

impl Colour {
    /// Every colour, in order.
    pub const ALL: [Self; 7] =
        [Self::Red, Self::Green, Self::Blue, Self::Yellow, Self::Purple, Self::Orange, Self::Black];
}

/// One shape with its square box, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    /// Its colour.
    pub colour: Colour,
    /// Its shape.
    pub shape: Shape,
    /// Left edge of the box.
    pub left: u32,
    /// Upper edge of the box.
    pub top: u32,
    /// Side of the box: the diameter of a circle.
    pub size: u32,
}

/// An image before it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Objects; their boxes do not overlap and lie inside the image.
    pub objects: Vec<Object>,
}

/// Ranges of random scenes; every pair includes both ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Width of the image, in pixels.
    pub width: (u32, u32),
    /// Height of the image, in pixels.
    pub height: (u32, u32),
    /// Side of an object's box, in pixels; at most the smaller side of the image.
    pub size: (u32, u32),
    /// Number of objects.
    pub objects: (usize, usize),
}

impl Default for Limits {
    fn default() -> Self {
        Self { width: (140, 224), height: (140, 224), size: (24, 56), objects: (1, 5) }
    }
}

/// Smallest distance of two boxes, in pixels, so that objects of one colour stay apart.
const GAP: u32 = 2;
/// Positions tried for one object, at decreasing sizes.
const TRIES: usize = 60;

impl Scene {
    /// Draws a scene within the limits. Higher numbers of objects are more likely, as they are harder. An object
    /// without a free position shrinks, and is left out in the end.
    pub fn random(rng: &mut Random, limits: &Limits) -> Self {
        let mut side = |(low, high): (u32, u32)| rng.within(low as i32, high as i32) as u32;
        let (width, height) = (side(limits.width), side(limits.height));
        let (min_objects, max_objects) = limits.objects;
        let weights: Vec<u32> = (min_objects..=max_objects).map(|count| 8 + 2 * count.min(6) as u32).collect();
        let count = min_objects + rng.weighted(&weights);
        let mut scene = Self { width, height, objects: Vec::with_capacity(count) };
        for (colour, shape) in random_kinds(rng, count) {
            if let Some((left, top, size)) = scene.free_position(rng, limits.size) {
                scene.objects.push(Object { colour, shape, left, top, size });
            }
        }
        scene
    }

    /// Gives all objects the colour of the first.
    pub fn use_one_colour(&mut self) {
        if let Some(&Object { colour, .. }) = self.objects.first() {
            self.objects.iter_mut().for_each(|object| object.colour = colour);
        }
    }

    fn free_position(&self, rng: &mut Random, (smallest, largest): (u32, u32)) -> Option<(u32, u32, u32)> {
        let mut size = rng.within(smallest as i32, largest as i32) as u32;
        for attempt in 1..=TRIES {
            let left = rng.below((self.width + 1).saturating_sub(size) as usize) as u32;
            let top = rng.below((self.height + 1).saturating_sub(size) as usize) as u32;
            if self.objects.iter().all(|other| other.is_clear_of(left, top, size)) {
                return Some((left, top, size));
            }
            if attempt % 8 == 0 {
                size = smallest + (size - smallest) * 3 / 4;
            }
        }
        None
    }
}

impl Object {
    fn is_clear_of(&self, left: u32, top: u32, size: u32) -> bool {
        let apart = |a: u32, a_size: u32, b: u32| a + a_size + GAP <= b;
        apart(self.left, self.size, left)
            || apart(left, size, self.left)
            || apart(self.top, self.size, top)
            || apart(top, size, self.top)
    }
}

/// Draws colours and shapes: independent in half of the scenes, else with repetition, so that counts above one are
/// common.
fn random_kinds(rng: &mut Random, count: usize) -> Vec<(Colour, Shape)> {
    let same_colour = [0.0, 0.6, 0.0, 0.4][rng.below(4)] * f64::from(rng.chance(0.7));
    let same_shape = [0.0, 0.0, 0.6, 0.4][rng.below(4)] * f64::from(rng.chance(0.7));
    let same_both = if rng.chance(0.25) { 0.5 } else { 0.0 };
    let mut kinds: Vec<(Colour, Shape)> = Vec::with_capacity(count);
    for _ in 0..count {
        let mut kind = (rng.pick(&Colour::ALL), rng.pick(&Shape::ALL));
        if let Some(&(colour, shape)) = kinds.get(rng.below(kinds.len())) {
            let both = rng.chance(same_both);
            if both || rng.chance(same_colour) {
                kind.0 = colour;
            }
            if both || rng.chance(same_shape) {
                kind.1 = shape;
            }
        }
        kinds.push(kind);
    }
    kinds
}
