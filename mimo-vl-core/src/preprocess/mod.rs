//! (being written)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    pub t: usize,
    pub h: usize,
    pub w: usize,
}
impl Grid {
    pub fn patches(&self) -> usize {
        self.t * self.h * self.w
    }
}
pub struct Patches {
    pub grid: Grid,
    pub pixels: Vec<u8>,
}
