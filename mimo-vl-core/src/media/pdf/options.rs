//! Options for reading a PDF file.

use std::fmt;
use std::ops::RangeInclusive;

use crate::cancel::{CallOptions, call_setters};
use crate::error::{Error, Result};

/// Options for reading a PDF file.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct PdfOptions {
    /// Range of pages, from 1. An end of `usize::MAX` means the last page. Default: all pages.
    pub pages: Option<RangeInclusive<usize>>,
    /// Maximum pixels of a page, at least 1. Default: 4096 tokens of 28 × 28 pixels.
    pub max_pixels: u32,
    /// Pixels per inch, above 0. A page that would exceed `max_pixels`, or 16,384 pixels on a side, gets fewer.
    /// Default: 144.
    pub dpi: f32,
    /// Maximum number of pages; more are an error. At least 1. Default: 64.
    pub max_pages: usize,
    /// Password that opens the file; ignored if the file does not need one. Default: none.
    pub password: Option<String>,
    /// Cancellation, time limit and progress, in pages, of each call with these options.
    pub call: CallOptions,
}

impl Default for PdfOptions {
    fn default() -> Self {
        Self {
            pages: None,
            max_pixels: 4096 * 28 * 28,
            dpi: 144.0,
            max_pages: 64,
            password: None,
            call: CallOptions::new(),
        }
    }
}

impl PdfOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`PdfOptions::pages`](#structfield.pages).
    #[must_use]
    pub fn pages(mut self, pages: RangeInclusive<usize>) -> Self {
        self.pages = Some(pages);
        self
    }

    /// Sets [`PdfOptions::max_pixels`](#structfield.max_pixels).
    #[must_use]
    pub fn max_pixels(mut self, pixels: u32) -> Self {
        self.max_pixels = pixels;
        self
    }

    /// Sets [`PdfOptions::dpi`](#structfield.dpi).
    #[must_use]
    pub fn dpi(mut self, dpi: f32) -> Self {
        self.dpi = dpi;
        self
    }

    /// Sets [`PdfOptions::max_pages`](#structfield.max_pages).
    #[must_use]
    pub fn max_pages(mut self, pages: usize) -> Self {
        self.max_pages = pages;
        self
    }

    /// Sets [`PdfOptions::password`](#structfield.password).
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    call_setters!();

    /// Returns an error if a value is out of its range.
    pub(super) fn check(&self) -> Result<()> {
        if self.max_pixels == 0 {
            return Err(Error::option("max_pixels", "0: a page needs at least 1 pixel"));
        }
        if self.max_pages == 0 {
            return Err(Error::option("max_pages", "0: at least 1 page must be allowed"));
        }
        if !self.dpi.is_finite() || self.dpi <= 0.0 {
            return Err(Error::option("dpi", format!("{} is not a number above 0", self.dpi)));
        }
        match &self.pages {
            Some(pages) if *pages.start() == 0 => Err(Error::option("pages", "pages are counted from 1 on")),
            Some(pages) if pages.start() > pages.end() => {
                Err(Error::option("pages", format!("no page lies from {} to {}", pages.start(), pages.end())))
            }
            _ => Ok(()),
        }
    }

    /// Returns the requested pages of a file that has `count` pages, at least 1.
    pub(super) fn select(&self, name: &str, count: usize) -> Result<RangeInclusive<usize>> {
        let pages = match self.pages.clone().unwrap_or(1..=usize::MAX).into_inner() {
            (first, usize::MAX) if first <= count => first..=count,
            (first, last) => first..=last,
        };
        if *pages.end() > count {
            let available = if count == 1 { "1 page".to_owned() } else { format!("{count} pages") };
            let last = if *pages.end() == usize::MAX { "the last one".to_owned() } else { pages.end().to_string() };
            let reason = format!("{} to {last} were requested, and {name} has {available}", pages.start());
            return Err(Error::option("pages", reason));
        }
        let requested = pages.end() - pages.start() + 1;
        if requested > self.max_pages {
            let reason = format!(
                "{requested} pages of {name} were requested, and {} are allowed: set pages, or raise max_pages",
                self.max_pages
            );
            return Err(Error::option("max_pages", reason));
        }
        Ok(pages)
    }
}

/// Omits the password, which must not get into logs.
impl fmt::Debug for PdfOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PdfOptions")
            .field("pages", &self.pages)
            .field("max_pixels", &self.max_pixels)
            .field("dpi", &self.dpi)
            .field("max_pages", &self.max_pages)
            .field("password", &self.password.as_ref().map(|_| "..."))
            .finish()
    }
}
