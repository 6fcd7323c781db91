//! Tests of mimo-vl through its public interface: one file per subject beside this one.

pub mod fixtures;

/// The code blocks of the guide, run as documentation tests.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../docs/guide/batches.md")]
    struct Batches;
    #[doc = include_str!("../docs/guide/evaluation.md")]
    struct Evaluation;
    #[doc = include_str!("../docs/guide/grounding.md")]
    struct Grounding;
    #[doc = include_str!("../docs/guide/gui.md")]
    struct Gui;
    #[doc = include_str!("../docs/guide/hub.md")]
    struct Hub;
    #[doc = include_str!("../docs/guide/pdf.md")]
    struct Pdf;
    #[doc = include_str!("../docs/guide/sampling.md")]
    struct Sampling;
    #[doc = include_str!("../docs/guide/server.md")]
    struct Server;
    #[doc = include_str!("../docs/guide/sessions.md")]
    struct Sessions;
    #[doc = include_str!("../docs/guide/streaming.md")]
    struct Streaming;
    #[doc = include_str!("../docs/guide/structured.md")]
    struct Structured;
    #[doc = include_str!("../docs/guide/tools.md")]
    struct Tools;
    #[doc = include_str!("../docs/guide/thinking.md")]
    struct Thinking;
    #[doc = include_str!("../docs/guide/video.md")]
    struct Video;
    #[cfg(feature = "train")]
    #[doc = include_str!("../docs/training.md")]
    struct Training;
}
