//! (being written)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub media: usize,
    pub start: usize,
    pub len: usize,
}
