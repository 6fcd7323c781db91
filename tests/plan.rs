//! Plans of a prompt's tokens and memory, prompts fitted to a budget, and progress.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mimo_vl_core::{
    Budget, CancelToken, Error, GenerateOptions, Image, LoadOptions, Model, Plan, PlannedPart, Prompt, Session, Stage,
    Thinking, Video, WeightFormat,
};
use mimo_vl_tests::fixtures::tiny_model::{checkpoint, model, noise_image, short, video};

fn sizes(plan: &Plan) -> Vec<(usize, (usize, usize))> {
    let media = plan.parts.iter().filter_map(|part| match part {
        PlannedPart::Media { tokens, transform } => Some((*tokens, transform.resized)),
        _ => None,
    });
    media.collect()
}

#[test]
fn a_plan_agrees_with_the_answer() {
    let mut session = model().session();
    let prompt = Prompt::user().image(noise_image(1, 200, 100)).text("What?").video(video()).thinking(Thinking::Off);
    let plan = session.plan(&prompt, &short()).unwrap();
    assert_eq!((session.messages().len(), session.cached_tokens()), (0, 0), "planning leaves the session unchanged");
    let answer = session.ask(&prompt, &short()).unwrap();
    assert_eq!((plan.prompt_tokens, plan.cached_tokens), (answer.prompt_tokens, 0));
    let resized: Vec<_> = answer.transforms.iter().map(|transform| transform.resized).collect();
    assert_eq!(sizes(&plan).iter().map(|(_, size)| *size).collect::<Vec<_>>(), resized);
    let media: usize = sizes(&plan).iter().map(|(tokens, _)| tokens).sum();
    assert!(media < plan.prompt_tokens && plan.fits && plan.answer_tokens == 12);
    // The image, the text, the video, and the request not to think.
    assert_eq!(plan.parts.len(), 4);
    assert_eq!(plan.parts[1], PlannedPart::Text { tokens: model().tokenizer().encode_text("What?").unwrap().len() });
    let text = &model().config().text;
    let token = 2 * 4 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim;
    assert_eq!(plan.cache_bytes, ((plan.prompt_tokens + 12) * token) as u64);
    assert!(plan.peak_bytes > plan.cache_bytes + plan.working_bytes);
    // The answer reports the session's memory: the cache as planned, the pixels of image and video, and their features.
    let memory = answer.memory;
    assert_eq!(memory.cache, plan.cache_bytes);
    let pixels = video().frames().iter().map(|frame| frame.pixels().len()).sum::<usize>() + 3 * 200 * 100;
    assert_eq!(memory.pixels, pixels as u64);
    assert_eq!(memory.features, (4 * media * text.hidden_size) as u64);
    assert!(memory.weights > 0 && plan.peak_bytes > memory.weights + memory.cache);
    // Another system message changes the prefix, so that nothing behind it stays cached.
    let next = session.plan(&Prompt::user().system("Be kind.").text("And?"), &short()).unwrap();
    assert!(next.cached_tokens < 10, "{next:?}");
    assert_eq!(next.parts.len(), 2);
    // The session has a cache already, so only its growth is allocated.
    let next = session.plan(&Prompt::user().text("And?"), &short()).unwrap();
    assert!(next.growth_bytes < next.cache_bytes && plan.growth_bytes == plan.cache_bytes, "{next:?}");
    let answer = session.ask(&Prompt::user().text("And?"), &short()).unwrap();
    assert_eq!((next.prompt_tokens, next.cached_tokens), (answer.prompt_tokens, answer.timings.cached_tokens));
}

#[test]
fn a_plan_of_a_fork_counts_the_copy_of_its_cache() {
    let mut session = model().session();
    session.ask(&Prompt::user().text("What is it? ".repeat(20)), &short().max_tokens(40)).unwrap();
    let next = Prompt::user().text("And?");
    let growth = |session: &Session| session.plan(&next, &short().max_tokens(1)).unwrap().growth_bytes;
    let unshared = growth(&session);
    let mut fork = session.fork();
    let cache = session.plan(&next, &short().max_tokens(1)).unwrap().cache_bytes;
    assert!(unshared < cache && growth(&session) >= cache && growth(&fork) >= cache, "{unshared} of {cache}");
    // The first one to write makes a copy, and leaves the original to the other.
    fork.ask(&next, &short().max_tokens(1)).unwrap();
    assert_eq!(growth(&session), unshared);
    let fork = session.fork();
    assert!(growth(&session) >= cache);
    drop(fork);
    assert_eq!(growth(&session), unshared);
}

#[test]
fn fit_downscales_images_or_fails_with_a_typed_error() {
    let session = model().session();
    let prompt = Prompt::user().image(noise_image(1, 560, 560)).image(noise_image(2, 280, 280)).text("What?");
    let full = session.plan(&prompt, &short()).unwrap();
    assert_eq!(sizes(&full), [(400, (560, 560)), (100, (280, 280))]);
    let (same, plan) = session.fit(&prompt, &short(), Budget::new()).unwrap();
    assert_eq!((same.messages().len(), plan), (1, full.clone()));
    let tight = Budget::new().tokens(full.prompt_tokens - 250);
    let error = session.fit(&prompt, &short(), tight);
    assert!(matches!(error, Err(Error::ContextTooLong { tokens, .. }) if tokens == full.prompt_tokens), "{error:?}");
    let (smaller, plan) = session.fit(&prompt, &short(), tight.lower_pixels(true)).unwrap();
    assert!(plan.prompt_tokens <= full.prompt_tokens - 250 && plan.prompt_tokens > full.prompt_tokens - 330);
    let [(first, _), (second, _)] = sizes(&plan)[..] else { panic!("{plan:?}") };
    assert!(first < 400 && second < 100 && first > second, "both are downscaled");
    let answer = model().session().ask(&smaller, &short()).unwrap();
    assert_eq!(answer.prompt_tokens, plan.prompt_tokens);
    let error = session.fit(&prompt, &short(), Budget::new().tokens(9).lower_pixels(true));
    assert!(matches!(error, Err(Error::ContextTooLong { limit: 9, .. })), "{error:?}");
    let error = session.fit(&prompt, &short(), Budget::new().bytes(1000).lower_pixels(true));
    assert!(matches!(error, Err(Error::Memory { available: 1000, .. })), "{error:?}");
    let bytes = Budget::new().bytes(full.peak_bytes - 1000).lower_pixels(true);
    let (_, plan) = session.fit(&prompt, &short(), bytes).unwrap();
    assert!(plan.peak_bytes < full.peak_bytes);
}

#[test]
fn max_context_limits_plan_and_fit() {
    let options = LoadOptions::new().weights(WeightFormat::F32).max_context(300);
    let model = Model::load(checkpoint(), &options).unwrap();
    let session = model.session();
    let large = Prompt::user().image(noise_image(1, 400, 400)).text("What?");
    let plan = session.plan(&large, &GenerateOptions::new().max_tokens(1000)).unwrap();
    assert!(plan.fits && plan.prompt_tokens + plan.answer_tokens == 300);
    let prompt = Prompt::user().image(noise_image(1, 400, 400)).image(noise_image(2, 400, 400)).text("What?");
    let too_long = session.plan(&prompt, &short()).unwrap();
    assert!(!too_long.fits && too_long.prompt_tokens > 300 && too_long.answer_tokens == 0, "{too_long:?}");
    let too_long = session.plan(&Prompt::user().text("many words ".repeat(200)), &short()).unwrap();
    assert!(!too_long.fits && too_long.prompt_tokens > 300);
    assert!(matches!(model.session().ask(&prompt, &short()), Err(Error::ContextTooLong { limit: 300, .. })));
    let (_, fitted) = session.fit(&prompt, &short(), Budget::new().lower_pixels(true)).unwrap();
    assert!(fitted.prompt_tokens <= 299 && fitted.prompt_tokens > 230, "{fitted:?}");
    let thin = Image::from_rgb(2100, 10, 6300, &[0; 63_000]).unwrap();
    assert!(matches!(session.plan(&Prompt::user().image(thin).text("?"), &short()), Err(Error::Image { .. })));
}

#[test]
fn fit_downscales_videos() {
    let session = model().session();
    let frames = (0..4).map(|index| noise_image(index, 560, 560)).collect();
    let prompt = Prompt::user().video(Video::from_frames(frames, 2.0).unwrap()).text("What?");
    let full = session.plan(&prompt, &short()).unwrap();
    let budget = Budget::new().tokens(full.prompt_tokens / 2).lower_pixels(true);
    let (smaller, plan) = session.fit(&prompt, &short(), budget).unwrap();
    assert!(plan.prompt_tokens <= full.prompt_tokens / 2 && plan.prompt_tokens > full.prompt_tokens / 3, "{plan:?}");
    assert_eq!(model().session().ask(&smaller, &short()).unwrap().prompt_tokens, plan.prompt_tokens);
}

#[test]
fn a_timeout_or_cancel_of_an_earlier_call_does_not_affect_a_plan() {
    let mut session = model().session();
    let prompt = Prompt::user().image(noise_image(1, 100, 80)).text("What?");
    let expected = model().session().plan(&prompt, &short()).unwrap();
    let error = session.ask(&prompt, &short().timeout(Duration::ZERO));
    assert!(matches!(error, Err(Error::Timeout)), "{error:?}");
    let plan = session.plan(&prompt, &short()).unwrap();
    assert_eq!((plan.parts, plan.prompt_tokens), (expected.parts.clone(), expected.prompt_tokens));
    let cancelled = CancelToken::new();
    cancelled.cancel();
    let (fitted, plan) = session.fit(&prompt, &short().cancel(&cancelled), Budget::new()).unwrap();
    assert_eq!((plan.parts, plan.prompt_tokens), (expected.parts, expected.prompt_tokens));
    assert_eq!(fitted.messages().len(), 1);
    let twice = Prompt::user().image(noise_image(1, 100, 80)).image(noise_image(1, 100, 80)).text("What?");
    let (one, two) = (session.plan(&prompt, &short()).unwrap(), session.plan(&twice, &short()).unwrap());
    assert!(
        two.prompt_tokens > one.prompt_tokens && two.working_bytes < 2 * one.working_bytes,
        "the same image is encoded once"
    );
}

#[test]
fn encoding_and_prefill_report_progress() {
    // An image that no other test uses: the model caches features.
    let prompt = Prompt::user().image(noise_image(77, 300, 280)).text("many words ".repeat(400));
    let reports = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&reports);
    let mut session = model().session();
    let reporting = short().on_progress(move |progress| {
        sink.lock().unwrap().push((progress.stage, progress.done as usize, progress.total as usize));
    });
    let answer = session.ask(&prompt, &reporting).unwrap();
    let reports = std::mem::take(&mut *reports.lock().unwrap());
    let depth = model().config().vision.depth;
    let blocks: Vec<_> = (1..=depth).map(|block| (Stage::Encode, block, depth)).collect();
    assert_eq!(reports[..depth], blocks);
    let tokens = answer.prompt_tokens;
    let chunks: Vec<_> = (1..=tokens.div_ceil(512)).map(|n| (Stage::Prefill, (n * 512).min(tokens), tokens)).collect();
    assert!(chunks.len() > 1);
    assert_eq!(reports[depth..], chunks, "decode steps report nothing");
}
