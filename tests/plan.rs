//! What a question will take, questions that are made to fit, and how far one is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mimo_vl_core::{
    Budget, Error, GenerateOptions, Image, LoadOptions, Model, Plan, PlannedPart, Prompt, Session, Stage, Thinking,
    Video, WeightFormat,
};
use mimo_vl_tests::fixture::{checkpoint, model, picture, short, video};

fn sizes(plan: &Plan) -> Vec<(usize, (usize, usize))> {
    let media = plan.parts.iter().filter_map(|part| match part {
        PlannedPart::Media { tokens, transform } => Some((*tokens, transform.resized)),
        _ => None,
    });
    media.collect()
}

#[test]
fn a_plan_tells_what_the_answer_counts() {
    let mut session = model().session();
    let prompt = Prompt::user().image(picture(1, 200, 100)).text("What?").video(video()).thinking(Thinking::Off);
    let plan = session.plan(&prompt, &short()).unwrap();
    assert_eq!((session.messages().len(), session.cached_tokens()), (0, 0), "nothing happened");
    let answer = session.ask(&prompt, &short()).unwrap();
    assert_eq!((plan.prompt_tokens, plan.cached_tokens), (answer.prompt_tokens, 0));
    let resized: Vec<_> = answer.transforms.iter().map(|transform| transform.resized).collect();
    assert_eq!(sizes(&plan).iter().map(|(_, size)| *size).collect::<Vec<_>>(), resized);
    let media: usize = sizes(&plan).iter().map(|(tokens, _)| tokens).sum();
    assert!(media < plan.prompt_tokens && plan.fits && plan.answer_tokens == 12);
    // The text, the picture, the video, and what asks for no thinking.
    assert_eq!(plan.parts.len(), 4);
    assert_eq!(plan.parts[1], PlannedPart::Text { tokens: model().tokenizer().encode_text("What?").unwrap().len() });
    let text = &model().config().text;
    let token = 2 * 4 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim;
    assert_eq!(plan.cache_bytes, ((plan.prompt_tokens + 12) * token) as u64);
    assert!(plan.peak_bytes > plan.cache_bytes + plan.working_bytes);
    // The answer tells what the session takes: the cache as planned, the pixels of picture and video, and their features.
    let memory = answer.memory;
    assert_eq!(memory.cache, plan.cache_bytes);
    let pixels = video().frames().iter().map(|frame| frame.pixels().len()).sum::<usize>() + 3 * 200 * 100;
    assert_eq!(memory.pixels, pixels as u64);
    assert_eq!(memory.features, (4 * media * text.hidden_size) as u64);
    assert!(memory.weights > 0 && plan.peak_bytes > memory.weights + memory.cache);
    // The next turn finds most of it done.
    let next = session.plan(&Prompt::user().system("Be kind.").text("And?"), &short()).unwrap();
    assert!(next.cached_tokens < 10, "another system message changes all that follows: {next:?}");
    assert_eq!(next.parts.len(), 2);
    // The session has its cache already: only what it grows by is to be found.
    let roomy = session.plan(&Prompt::user().text("And?"), &short()).unwrap();
    assert!(roomy.growth_bytes < roomy.cache_bytes && plan.growth_bytes == plan.cache_bytes, "{roomy:?}");
    let next = session.plan(&Prompt::user().text("And?"), &short()).unwrap();
    let answer = session.ask(&Prompt::user().text("And?"), &short()).unwrap();
    assert_eq!((next.prompt_tokens, next.cached_tokens), (answer.prompt_tokens, answer.timings.cached_tokens));
}

#[test]
fn a_fork_counts_the_copy_that_it_will_make() {
    let mut session = model().session();
    session.ask(&Prompt::user().text("What is it? ".repeat(20)), &short().max_tokens(40)).unwrap();
    let next = Prompt::user().text("And?");
    let growth = |session: &Session| session.plan(&next, &short().max_tokens(1)).unwrap().growth_bytes;
    let alone = growth(&session);
    let mut fork = session.fork();
    let whole = session.plan(&next, &short().max_tokens(1)).unwrap().cache_bytes;
    assert!(alone < whole && growth(&session) >= whole && growth(&fork) >= whole, "{alone} of {whole}");
    // Either one that goes on makes a copy, and leaves the other what there was.
    fork.ask(&next, &short().max_tokens(1)).unwrap();
    assert_eq!(growth(&session), alone);
    let fork = session.fork();
    assert!(growth(&session) >= whole);
    drop(fork);
    assert_eq!(growth(&session), alone);
}

#[test]
fn budgets_make_pictures_smaller_or_fail_by_name() {
    let session = model().session();
    let prompt = Prompt::user().image(picture(1, 560, 560)).image(picture(2, 280, 280)).text("What?");
    let whole = session.plan(&prompt, &short()).unwrap();
    assert_eq!(sizes(&whole), [(400, (560, 560)), (100, (280, 280))]);
    let (same, plan) = session.fit(&prompt, &short(), Budget::new()).unwrap();
    assert_eq!((same.messages().len(), plan), (1, whole.clone()));
    let tight = Budget::new().tokens(whole.prompt_tokens - 250);
    let refused = session.fit(&prompt, &short(), tight);
    assert!(matches!(refused, Err(Error::ContextTooLong { tokens, .. }) if tokens == whole.prompt_tokens));
    let (smaller, plan) = session.fit(&prompt, &short(), tight.lower_pixels(true)).unwrap();
    assert!(plan.prompt_tokens <= whole.prompt_tokens - 250 && plan.prompt_tokens > whole.prompt_tokens - 330);
    let [(first, _), (second, _)] = sizes(&plan)[..] else { panic!("{plan:?}") };
    assert!(first < 400 && second < 100 && first > second, "both are made smaller");
    let answer = model().session().ask(&smaller, &short()).unwrap();
    assert_eq!(answer.prompt_tokens, plan.prompt_tokens);
    let hopeless = session.fit(&prompt, &short(), Budget::new().tokens(9).lower_pixels(true));
    assert!(matches!(hopeless, Err(Error::ContextTooLong { limit: 9, .. })), "{hopeless:?}");
    let poor = session.fit(&prompt, &short(), Budget::new().bytes(1000).lower_pixels(true));
    assert!(matches!(poor, Err(Error::Memory { available: 1000, .. })), "{poor:?}");
    let bytes = Budget::new().bytes(whole.peak_bytes - 1000).lower_pixels(true);
    let (_, plan) = session.fit(&prompt, &short(), bytes).unwrap();
    assert!(plan.peak_bytes < whole.peak_bytes);
}

#[test]
fn a_small_context_is_part_of_the_plan() {
    let options = LoadOptions::new().weights(WeightFormat::F32).max_context(300);
    let model = Model::load(checkpoint(), &options).unwrap();
    let session = model.session();
    let large = Prompt::user().image(picture(1, 400, 400)).text("What?");
    let plan = session.plan(&large, &GenerateOptions::new().max_tokens(1000)).unwrap();
    assert!(plan.fits && plan.prompt_tokens + plan.answer_tokens == 300);
    let prompt = Prompt::user().image(picture(1, 400, 400)).image(picture(2, 400, 400)).text("What?");
    let beyond = session.plan(&prompt, &short()).unwrap();
    assert!(!beyond.fits && beyond.prompt_tokens > 300 && beyond.answer_tokens == 0, "{beyond:?}");
    let wordy = session.plan(&Prompt::user().text("many words ".repeat(200)), &short()).unwrap();
    assert!(!wordy.fits && wordy.prompt_tokens > 300);
    assert!(matches!(model.session().ask(&prompt, &short()), Err(Error::ContextTooLong { limit: 300, .. })));
    let (_, fitting) = session.fit(&prompt, &short(), Budget::new().lower_pixels(true)).unwrap();
    assert!(fitting.prompt_tokens <= 299 && fitting.prompt_tokens > 230, "{fitting:?}");
    let thin = Image::from_rgb(2100, 10, 6300, &[0; 63_000]).unwrap();
    assert!(matches!(session.plan(&Prompt::user().image(thin).text("?"), &short()), Err(Error::Image { .. })));
}

#[test]
fn videos_are_made_smaller_too() {
    let session = model().session();
    let frames = (0..4).map(|index| picture(index, 560, 560)).collect();
    let prompt = Prompt::user().video(Video::from_frames(frames, 2.0).unwrap()).text("What?");
    let whole = session.plan(&prompt, &short()).unwrap();
    let budget = Budget::new().tokens(whole.prompt_tokens / 2).lower_pixels(true);
    let (smaller, plan) = session.fit(&prompt, &short(), budget).unwrap();
    assert!(plan.prompt_tokens <= whole.prompt_tokens / 2 && plan.prompt_tokens > whole.prompt_tokens / 3, "{plan:?}");
    assert_eq!(model().session().ask(&smaller, &short()).unwrap().prompt_tokens, plan.prompt_tokens);
}

#[test]
fn what_stopped_an_earlier_call_does_not_stop_a_plan() {
    let mut session = model().session();
    let prompt = Prompt::user().image(picture(1, 100, 80)).text("What?");
    assert!(session.ask(&prompt, &short().timeout(Duration::ZERO)).is_err());
    assert!(session.plan(&prompt, &short()).is_ok());
    let cancelled = CancelToken::new();
    cancelled.cancel();
    assert!(session.fit(&prompt, &short().cancel(&cancelled), Budget::new()).is_ok());
    let twice = Prompt::user().image(picture(1, 100, 80)).image(picture(1, 100, 80)).text("What?");
    let (one, two) = (session.plan(&prompt, &short()).unwrap(), session.plan(&twice, &short()).unwrap());
    assert!(two.prompt_tokens > one.prompt_tokens && two.working_bytes < 2 * one.working_bytes, "it is encoded once");
}

#[test]
fn encoding_and_prefill_tell_how_far_they_are() {
    // Pictures that no other test shows: features of one that was shown are kept.
    let prompt = Prompt::user().image(picture(77, 300, 280)).text("many words ".repeat(400));
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let mut session = model().session();
    let reporting = short().on_progress(move |progress| {
        sink.lock().unwrap().push((progress.stage, progress.done as usize, progress.total as usize));
    });
    let answer = session.ask(&prompt, &reporting).unwrap();
    let told = std::mem::take(&mut *told.lock().unwrap());
    let depth = model().config().vision.depth;
    let blocks: Vec<_> = (1..=depth).map(|block| (Stage::Encode, block, depth)).collect();
    assert_eq!(told[..depth], blocks);
    let tokens = answer.prompt_tokens;
    let chunks: Vec<_> = (1..=tokens.div_ceil(512)).map(|n| (Stage::Prefill, (n * 512).min(tokens), tokens)).collect();
    assert!(chunks.len() > 1);
    assert_eq!(told[depth..], chunks, "steps of the answer tell nothing");
}
