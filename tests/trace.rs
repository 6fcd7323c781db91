//! What the spans of `tracing` tell: which work is done, and on which thread.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{ThreadId, current};

use mimo_vl_core::{BatchOptions, GenerateOptions, Grammar, Image, Prompt, Thinking};
use mimo_vl_tests::actor::{Actor, one_at_a_time};
use mimo_vl_tests::fixture::{checkpoint, model};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static SEEN: Mutex<Vec<(&str, ThreadId)>> = Mutex::new(Vec::new());

/// Notes the name of every span, and the thread that it began on.
struct Notes(AtomicU64);

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with("mimo_vl_core")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        SEEN.lock().unwrap().push((span.metadata().name(), current().id()));
        Id::from_u64(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn seen() -> Vec<(&'static str, ThreadId)> {
    std::mem::take(&mut SEEN.lock().unwrap())
}

/// One test, as all share the process's subscriber.
#[test]
fn every_stage_has_a_span_and_masks_are_made_while_the_model_runs() {
    tracing::subscriber::set_global_default(Notes(AtomicU64::new(1))).unwrap();
    let picture: PathBuf = checkpoint().join("cases/two-images-turns/a.png");
    let prompt = Prompt::user().image(Image::open(&picture).unwrap()).text("?");
    let answer = model().session().ask(&prompt, &GenerateOptions::new().max_tokens(4)).unwrap();
    let names: Vec<&str> = seen().into_iter().map(|(name, _)| name).collect();
    for stage in ["image", "load", "preprocess", "encode", "prefill", "decode"] {
        assert!(names.contains(&stage), "{stage} in {names:?}");
    }
    let decoded = names.iter().filter(|name| **name == "decode").count();
    assert_eq!(decoded, answer.timings.steps - answer.timings.accepted);

    let actor = Actor::new("nonsense");
    let grammar = Grammar::Regex("[a-z]{20}".to_owned());
    let generate = one_at_a_time().temperature(9.0).grammar(grammar);
    let asked = || Prompt::user().text("?").thinking(Thinking::Off);
    let answer = actor.session().ask(&asked(), &generate).unwrap();
    let masks: Vec<_> = seen().into_iter().filter(|(name, _)| *name == "mask").collect();
    assert!(masks.len() + 1 >= answer.tokens, "{} masks for {} tokens", masks.len(), answer.tokens);
    let here = masks.iter().filter(|(_, thread)| *thread == current().id()).count();
    assert_eq!(here, 1, "the first comes before the model runs, the others while it does");

    let mut batch = actor.model.batch(&BatchOptions::new().max_concurrent(3));
    for seed in 0..3 {
        batch.add(&asked(), &generate.clone().seed(seed));
    }
    for (_, event) in &mut batch {
        event.unwrap();
    }
    let masks: Vec<_> = seen().into_iter().filter(|(name, _)| *name == "mask").collect();
    let here = masks.iter().filter(|(_, thread)| *thread == current().id()).count();
    assert_eq!(here, 3, "one for the first token of each answer");
    assert!(masks.len() > 3 * 4);
}
