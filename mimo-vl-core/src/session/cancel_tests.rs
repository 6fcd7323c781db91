//! Latency of a cancel: it is checked before each layer, and before each group of frames.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use super::load_options::LoadOptions;
use super::model::Model;
use crate::cancel::{CallOptions, CancelToken, Stage, TaskControl};
use crate::checkpoint::WeightFormat;
use crate::error::{Error, Result};
use crate::media::{Image, Video};
use crate::model::{PrefillInput, Step};
use crate::preprocess::{patchify_video, preprocess_image, video_layout};
use crate::prompt::Prompt;
use crate::sampling::GenerateOptions;

fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    let checkpoint = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny");
    MODEL.get_or_init(|| Model::load(checkpoint, &LoadOptions::new().weights(WeightFormat::F32)).unwrap())
}

fn image(width: u32, height: u32) -> Image {
    Image::from_rgb_owned(width, height, vec![90; 3 * width as usize * height as usize]).unwrap()
}

/// Checks that `work` checks for cancellation at least `min_checks` times, and ends at each of those checks.
fn check(min_checks: usize, work: impl Fn(&TaskControl) -> Result<()>) {
    let free = CancelToken::after_checks(usize::MAX);
    work(&TaskControl::with_cancel(&free)).unwrap();
    assert!(free.checks() >= min_checks, "{} checks, fewer than {min_checks}", free.checks());
    for allowed in 0..free.checks() {
        let cancel = CancelToken::after_checks(allowed);
        assert!(matches!(work(&TaskControl::with_cancel(&cancel)), Err(Error::Cancelled)), "after {allowed} checks");
        assert_eq!(cancel.checks(), allowed + 1, "work went on after the cancel");
    }
}

#[test]
fn a_cancel_ends_encoding_within_a_block_of_the_tower() {
    let patches = preprocess_image(&image(200, 120), model().preprocess_config()).unwrap();
    let depth = model().config().vision.depth;
    check(depth, |control| model().engine().encode(&patches, control).map(drop));
    // Between two reports of progress, one after each block, it is checked.
    let (token, checks) = (CancelToken::after_checks(usize::MAX), Arc::new(Mutex::new(Vec::new())));
    let (flag, sink) = (token.clone(), Arc::clone(&checks));
    let call = CallOptions::new().cancel(&token).on_progress(move |_| sink.lock().unwrap().push(flag.checks()));
    model().engine().encode(&patches, &call.start()).unwrap();
    let checks = checks.lock().unwrap();
    assert!(checks.len() == depth && checks.windows(2).all(|pair| pair[0] < pair[1]), "{checks:?}");
}

#[test]
fn a_timeout_ends_encoding_and_prefill() {
    let long_prompt = Prompt::user().text("many words ".repeat(400));
    let with_image = Prompt::user().image(image(200, 120)).text("?");
    for (stage, prompt) in [(Stage::Encode, with_image), (Stage::Prefill, long_prompt)] {
        let mut session = model().session();
        let reports = Arc::new(AtomicUsize::new(0));
        // Long enough that the stage begins.
        let (count, timeout) = (Arc::clone(&reports), Duration::from_secs(2));
        let options = GenerateOptions::new().timeout(timeout).on_progress(move |progress| {
            if progress.stage == stage {
                count.fetch_add(1, Ordering::Relaxed);
                thread::sleep(timeout);
            }
        });
        let result = session.ask(&prompt, &options);
        assert!(matches!(result, Err(Error::Timeout)), "{stage:?}: {result:?}");
        assert_eq!(reports.load(Ordering::Relaxed), 1, "work went on after the timeout");
        assert_eq!((session.messages().len(), session.cached_tokens()), (0, 0));
    }
}

#[test]
fn a_cancel_ends_the_prefill_within_a_layer_of_a_chunk() {
    let (ids, positions) = ([3; 40], (0..40).map(|index| [index; 3]).collect::<Vec<_>>());
    let layers = model().config().text.num_hidden_layers;
    check(layers * 40_usize.div_ceil(16), |control| {
        let mut sequence = model().engine().sequence();
        let input = PrefillInput { ids: &ids, positions: &positions, media: Vec::new() };
        let result = sequence.prefill(&input, 16, false, control).map(drop);
        assert_eq!(
            sequence.len(),
            if result.is_ok() { 40 } else { 0 },
            "a cancelled prefill leaves tokens in the sequence"
        );
        result
    });
}

#[test]
fn a_cancel_ends_a_decode_step_within_a_layer() {
    let layers = model().config().text.num_hidden_layers;
    check(layers, |control| model().engine().sequence().step(3, 0, control).map(drop));
    check(2 * layers, |control| {
        // More sequences than one decode batch holds.
        let mut sequences: Vec<_> = (0..9).map(|_| model().engine().sequence()).collect();
        let steps = sequences.iter_mut().map(|sequence| Step { sequence: &mut **sequence, id: 3, position: 0 });
        let result = model().engine().decode_batch(&mut steps.collect::<Vec<_>>(), control).map(drop);
        let expected_len = usize::from(result.is_ok());
        assert!(sequences.iter().all(|sequence| sequence.len() == expected_len));
        result
    });
}

#[test]
fn a_cancel_ends_patchifying_within_a_group_of_frames() {
    let video = Video::from_frames(vec![image(120, 90); 9], 2.0).unwrap();
    let config = model().preprocess_config();
    let layout = video_layout(&video, config).unwrap();
    let patchify = |token: &CancelToken| patchify_video(&video, layout, config, &TaskControl::with_cancel(token));
    let free = CancelToken::after_checks(usize::MAX);
    let groups = patchify(&free).unwrap().grid.t;
    assert_eq!((groups, free.checks()), (5, 5));
    for allowed in 0..groups {
        assert!(matches!(patchify(&CancelToken::after_checks(allowed)), Err(Error::Cancelled)));
    }
}
