//! How a PDF file is read.

use std::fmt;
use std::ops::RangeInclusive;

use crate::cancel::{CallOptions, call_setters};
use crate::error::{Error, Result};

/// How a PDF file is read.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct PdfOptions {
    /// Which pages are taken, from 1 on; up to `usize::MAX` are all from the first one on. Default: all.
    pub pages: Option<RangeInclusive<usize>>,
    /// Most pixels of one page. Default: 4096 tokens of 28 by 28 pixels.
    pub max_pixels: u32,
    /// Pixels per inch that are wanted; a page that would exceed `max_pixels`, or 16,384 pixels on a side, gets fewer.
    /// Default: 144.
    pub dpi: f32,
    /// Most pages that may be taken; more are an error. Default: 64.
    pub max_pages: usize,
    /// The password that opens the file. Default: none. One that the file does not need is not looked at.
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

    /// Set [`PdfOptions::pages`](#structfield.pages).
    #[must_use]
    pub fn pages(mut self, pages: RangeInclusive<usize>) -> Self {
        self.pages = Some(pages);
        self
    }

    /// Set [`PdfOptions::max_pixels`](#structfield.max_pixels).
    #[must_use]
    pub fn max_pixels(mut self, pixels: u32) -> Self {
        self.max_pixels = pixels;
        self
    }

    /// Set [`PdfOptions::dpi`](#structfield.dpi).
    #[must_use]
    pub fn dpi(mut self, dpi: f32) -> Self {
        self.dpi = dpi;
        self
    }

    /// Set [`PdfOptions::max_pages`](#structfield.max_pages).
    #[must_use]
    pub fn max_pages(mut self, pages: usize) -> Self {
        self.max_pages = pages;
        self
    }

    /// Set [`PdfOptions::password`](#structfield.password).
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    call_setters!();

    /// Pass when every value is one that a file could be read with.
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

    /// The pages to take of a file that has `count`, at least 1.
    pub(super) fn select(&self, name: &str, count: usize) -> Result<RangeInclusive<usize>> {
        let pages = match self.pages.clone().unwrap_or(1..=usize::MAX).into_inner() {
            (first, usize::MAX) if first <= count => first..=count,
            (first, last) => first..=last,
        };
        if *pages.end() > count {
            let (from, to) = (pages.start(), pages.end());
            let has = if count == 1 { "1 page".to_owned() } else { format!("{count} pages") };
            let to = if *to == usize::MAX { "the last one".to_owned() } else { to.to_string() };
            return Err(Error::option("pages", format!("{from} to {to} were asked for, and {name} has {has}")));
        }
        let wanted = pages.end() - pages.start() + 1;
        if wanted > self.max_pages {
            let reason = format!(
                "{wanted} pages of {name} were asked for, and {} are allowed: set pages, or raise max_pages",
                self.max_pages
            );
            return Err(Error::option("max_pages", reason));
        }
        Ok(pages)
    }
}

/// Without the password, which must not get into logs.
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
