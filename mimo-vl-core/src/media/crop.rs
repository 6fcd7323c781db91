//! The part of a full image that an image shows.

use super::page::PageFrame;

/// Position of an image in the full image that it was cropped from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CropFrame {
    /// EXIF orientation, 1 to 8, that was applied to the stored image.
    pub(crate) orientation: u8,
    /// Width and height of the full image, with the orientation applied.
    pub(crate) full_size: (u32, u32),
    /// Left and top edge of the crop in the full image.
    pub(crate) offset: (u32, u32),
    /// Width and height of the crop in the full image: the size of the image itself, unless that was resized.
    pub(crate) size: (u32, u32),
    /// Position of the full image on a page of a PDF file.
    pub(crate) page: Option<PageFrame>,
}

impl CropFrame {
    /// The frame of an uncropped image.
    pub(super) fn full(width: u32, height: u32) -> Self {
        Self { orientation: 1, full_size: (width, height), offset: (0, 0), size: (width, height), page: None }
    }

    /// The frame of a crop, in pixels, of an image of `width` × `height` pixels with this frame.
    ///
    /// The crop of a resized image refers to that image, not to the full one.
    pub(super) fn crop(self, image_size: (u32, u32), offset: (u32, u32), size: (u32, u32)) -> Self {
        let is_resized = self.size != image_size;
        let (full_size, origin, page) =
            if is_resized { (image_size, (0, 0), None) } else { (self.full_size, self.offset, self.page) };
        Self { full_size, offset: (origin.0 + offset.0, origin.1 + offset.1), size, page, ..self }
    }

    /// True if the crop has pixels and lies in the full image.
    pub(super) fn is_valid(&self) -> bool {
        let (offset, size, full) = (self.offset, self.size, self.full_size);
        lies_within(offset.0, size.0, full.0) && lies_within(offset.1, size.1, full.1)
    }
}

/// True if a part of `size` pixels from `start` on is not empty and ends within `limit`.
pub(super) fn lies_within(start: u32, size: u32, limit: u32) -> bool {
    size > 0 && start.checked_add(size).is_some_and(|end| end <= limit)
}
