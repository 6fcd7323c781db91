//! Spans of `tracing`: one per stage, and grammar masks on a thread beside the model.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{ThreadId, current};

use mimo_vl_core::{BatchOptions, GenerateOptions, Grammar, Image, Prompt, Thinking};
use mimo_vl_tests::fixtures::scripted_engine::{ScriptedModel, without_drafts};
use mimo_vl_tests::fixtures::tiny_model::{checkpoint, model};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static SPANS: Mutex<Vec<(&str, ThreadId)>> = Mutex::new(Vec::new());

/// A subscriber that records the name of every span and the thread that created it.
struct Recorder(AtomicU64);

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with("mimo_vl_core")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        SPANS.lock().unwrap().push((span.metadata().name(), current().id()));
        Id::from_u64(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn take_spans() -> Vec<(&'static str, ThreadId)> {
    std::mem::take(&mut SPANS.lock().unwrap())
}

/// A single test, since the subscriber is global.
#[test]
fn every_stage_has_a_span_and_masks_are_computed_while_the_model_runs() {
    tracing::subscriber::set_global_default(Recorder(AtomicU64::new(1))).unwrap();
    let path: PathBuf = checkpoint().join("cases/two-images-turns/a.png");
    let prompt = Prompt::user().image(Image::open(&path).unwrap()).text("?");
    let answer = model().session().ask(&prompt, &GenerateOptions::new().max_tokens(4)).unwrap();
    let names: Vec<&str> = take_spans().into_iter().map(|(name, _)| name).collect();
    for stage in ["image", "load", "preprocess", "encode", "prefill", "decode"] {
        assert!(names.contains(&stage), "{stage} in {names:?}");
    }
    let decoded = names.iter().filter(|name| **name == "decode").count();
    assert_eq!(decoded, answer.timings.steps - answer.timings.accepted);

    let scripted = ScriptedModel::new("nonsense");
    let grammar = Grammar::Regex("[a-z]{20}".to_owned());
    let options = without_drafts().temperature(9.0).grammar(grammar);
    let prompt = || Prompt::user().text("?").thinking(Thinking::Off);
    let answer = scripted.session().ask(&prompt(), &options).unwrap();
    let masks: Vec<_> = take_spans().into_iter().filter(|(name, _)| *name == "mask").collect();
    assert!(masks.len() + 1 >= answer.tokens, "{} masks for {} tokens", masks.len(), answer.tokens);
    let here = masks.iter().filter(|(_, thread)| *thread == current().id()).count();
    assert_eq!(here, 1, "only the first mask is computed before the model runs");

    let mut batch = scripted.model.batch(&BatchOptions::new().max_concurrent(3));
    for seed in 0..3 {
        batch.add(&prompt(), &options.clone().seed(seed));
    }
    for (_, event) in &mut batch {
        event.unwrap();
    }
    let masks: Vec<_> = take_spans().into_iter().filter(|(name, _)| *name == "mask").collect();
    let here = masks.iter().filter(|(_, thread)| *thread == current().id()).count();
    assert_eq!(here, 3, "one mask for the first token of each answer");
    assert!(masks.len() > 3 * 4);
}
