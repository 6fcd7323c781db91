//! Events of an answer that is being generated.

use std::ptr;

use mimo_vl_core::Event;

use crate::region::Region;
use crate::text::{Str, Text};

/// Kind of an event. More may be added; skip those you do not know.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum EventKind {
    /// More text of the thinking.
    Thinking = 0,
    /// More text of the answer.
    Text = 1,
    /// End of the answer.
    End = 2,
    /// A box or points that the answer has completed; see mimo_vl_stream_region and mimo_vl_batch_region.
    Region = 3,
}

/// Text and region of the last event, which C may still read.
pub(crate) struct LastEvent {
    text: Text,
    region: Option<Region>,
}

impl LastEvent {
    /// No event.
    pub(crate) fn none() -> Self {
        Self { text: Text::new(""), region: None }
    }

    /// The event of the core and its kind; `None` if it is of a kind that C does not know.
    pub(crate) fn of(event: Event) -> Option<(EventKind, Self)> {
        let of_text = |kind, text| Some((kind, Self { text: Text::new(text), region: None }));
        match event {
            Event::Thinking(text) => of_text(EventKind::Thinking, text),
            Event::Text(text) => of_text(EventKind::Text, text),
            Event::End(_) => of_text(EventKind::End, String::new()),
            Event::Region(region) => {
                Some((EventKind::Region, Self { text: Text::new(""), region: Some(Region::new(region)) }))
            }
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Str {
        self.text.view()
    }

    /// The region, or null.
    pub(crate) fn region(&self) -> *const Region {
        self.region.as_ref().map_or(ptr::null(), ptr::from_ref)
    }
}
