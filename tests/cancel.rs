//! Calls that end early: cancelled by a token, timed out, stopped, or dropped by their reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mimo_vl_core::{
    Batch, BatchOptions, CallOptions, CancelToken, Error, ErrorCode, Event, GenerateOptions, Image, LoadOptions, Model,
    Prompt, Session, StopReason,
};
use mimo_vl_tests::fixtures::tiny_model::{checkpoint, messages, model, noise_image, sampled, short, text_of};

/// Sends a second prompt with `interrupt`, which must fail or break off, and checks that nothing of it is left.
fn check_rollback(interrupt: impl Fn(&mut Session, &Prompt)) {
    let first = Prompt::user().image(noise_image(1, 100, 80)).text("What is it?");
    let second = Prompt::user().image(noise_image(2, 84, 140)).text("And this?");
    let mut clean = model().session();
    clean.ask(&first, &short()).unwrap();
    let expected = clean.ask(&second, &sampled(5)).unwrap();

    let mut session = model().session();
    session.ask(&first, &short()).unwrap();
    interrupt(&mut session, &second);
    assert_eq!(session.messages().len(), 2);
    assert!(session.cached_tokens() < expected.prompt_tokens, "tokens of the dropped prompt are still cached");
    let answer = session.ask(&second, &sampled(5)).unwrap();
    assert_eq!(answer.ids, expected.ids);
    assert_eq!(messages(&session).len(), 4);
}

#[test]
fn a_dropped_stream_rolls_back() {
    check_rollback(|session, prompt| drop(session.stream(prompt, &short()).unwrap()));
    check_rollback(|session, prompt| {
        let events: Vec<_> = session.stream(prompt, &short()).unwrap().take(2).collect();
        assert_eq!(events.len(), 2);
    });
}

#[test]
fn a_cancelled_stream_rolls_back() {
    check_rollback(|session, prompt| {
        let token = CancelToken::new();
        let mut stream = session.stream(prompt, &short().cancel(&token)).unwrap();
        assert!(stream.next().unwrap().is_ok());
        thread::spawn(move || token.cancel()).join().unwrap();
        let rest: Vec<_> = stream.by_ref().collect();
        assert!(matches!(rest.last(), Some(Err(Error::Cancelled))), "{rest:?}");
        assert!(stream.next().is_none());
        assert_eq!(stream.answer().unwrap_err().code(), ErrorCode::Cancelled);
    });
}

#[test]
fn a_cancel_before_the_call_counts() {
    check_rollback(|session, prompt| {
        let token = CancelToken::new();
        token.cancel();
        let options = short().cancel(&token);
        assert!(matches!(session.ask(prompt, &options), Err(Error::Cancelled)));
        assert!(matches!(session.stream(prompt, &options), Err(Error::Cancelled)));
    });
    let token = CancelToken::new();
    token.cancel();
    assert!(matches!(Model::load(checkpoint(), &LoadOptions::new().cancel(&token)), Err(Error::Cancelled)));
    let mut batch = model().batch(&BatchOptions::new().cancel(&token));
    batch.add(&Prompt::user().text("Count."), &short());
    assert!(matches!(batch.next(), Some((0, Err(Error::Cancelled)))));
}

/// The microseconds to wait before cancelling try number `index` of `count`: from 0 to `span`, in an order without a
/// pattern.
fn moment(index: u64, count: u64, span: u64) -> Duration {
    Duration::from_micros(index * 389 % count * span / count)
}

/// Cancels `call` at `count` moments around its start and checks that each cancel ends it: a call whose cancel is lost
/// runs for much longer than `time_limit`.
fn check_that_no_cancel_is_lost(count: u64, span: u64, call: impl Fn(&CancelToken) -> Result<(), Error>) {
    let time_limit = Duration::from_secs(60);
    for index in 0..count {
        let token = CancelToken::new();
        let (other, ready) = (token.clone(), Arc::new(AtomicU64::new(0)));
        let flag = Arc::clone(&ready);
        let canceller = thread::spawn(move || {
            while flag.load(Ordering::Acquire) == 0 {
                std::hint::spin_loop();
            }
            let start = Instant::now();
            while start.elapsed() < moment(index, count, span) {
                std::hint::spin_loop();
            }
            other.cancel();
        });
        let start = Instant::now();
        ready.store(1, Ordering::Release);
        let ended = call(&token);
        assert!(start.elapsed() < time_limit, "try {index} was not cancelled");
        assert!(matches!(ended, Err(Error::Cancelled)), "try {index}: {ended:?}");
        canceller.join().unwrap();
    }
}

/// Options of an answer that would take minutes.
fn endless() -> GenerateOptions {
    let options = GenerateOptions::new().max_tokens(30_000);
    model().eos_token_ids().iter().fold(options, |options, &id| options.logit_bias(id, f32::NEG_INFINITY))
}

#[test]
fn no_cancel_is_lost_at_any_moment() {
    let prompt = Prompt::user().text("Count.");
    check_that_no_cancel_is_lost(500, 3_000, |token| {
        model().session().ask(&prompt, &endless().cancel(token)).map(drop)
    });
    check_that_no_cancel_is_lost(200, 3_000, |token| {
        let mut session = model().session();
        let stream = session.stream(&prompt, &endless().cancel(token))?;
        stream.answer().map(drop)
    });
    check_that_no_cancel_is_lost(100, 3_000, |token| {
        let options = endless().best_of(3).temperature(1.0);
        let mut session = model().session();
        let result = session.ask(&prompt, &options.cancel(token)).map(drop);
        assert_eq!((session.messages().len(), session.cached_tokens()), (0, 0));
        result
    });
    check_that_no_cancel_is_lost(200, 3_000, |token| {
        let mut batch: Batch = model().batch(&BatchOptions::new().cancel(token));
        batch.add(&prompt, &endless());
        batch.add(&prompt, &endless());
        batch.try_for_each(|(_, event)| event.map(drop))
    });
}

#[test]
fn one_token_cancels_several_calls() {
    let token = CancelToken::new();
    let options = short().cancel(&token);
    let mut sessions = [model().session(), model().session()];
    let [first, second] = &mut sessions;
    let prompt = Prompt::user().text("Hi");
    let mut streams = [first, second].map(|session| session.stream(&prompt, &options).unwrap());
    token.cancel();
    for stream in &mut streams {
        assert!(matches!(stream.next(), Some(Err(Error::Cancelled))));
    }
    for stream in streams {
        assert!(matches!(stream.answer(), Err(Error::Cancelled)), "the cause is kept");
    }
}

#[test]
fn a_child_token_is_cancelled_alone_or_with_its_parent() {
    let token = CancelToken::new();
    let child = token.child();
    assert!(!child.is_cancelled());
    child.cancel();
    assert!(child.is_cancelled() && !token.is_cancelled());
    let child = token.child();
    token.cancel();
    assert!(child.is_cancelled());
    let mut session = model().session();
    assert!(matches!(session.ask(&Prompt::user().text("Hi"), &short().cancel(&child)), Err(Error::Cancelled)));
    let answer = session.ask(&Prompt::user().text("Hi"), &short()).unwrap();
    assert_eq!(answer.stop, StopReason::MaxTokens, "a call without the token is not cancelled");
}

#[test]
fn stop_keeps_the_message() {
    let mut session = model().session();
    let mut stream = session.stream(&Prompt::user().text("Count to ten."), &short()).unwrap();
    let first = stream.next().unwrap().unwrap();
    stream.stop();
    let rest: Vec<Event> = stream.by_ref().map(Result::unwrap).collect();
    assert_eq!(rest.last(), Some(&Event::End(StopReason::Cancelled)));
    let answer = stream.answer().unwrap();
    assert_eq!(answer.stop, StopReason::Cancelled);
    assert!(matches!(first, Event::Text(text) if answer.text.starts_with(&text)));
    assert_eq!(text_of(&messages(&session)[1]), answer.text);

    session.stream(&Prompt::user().text("Again."), &short()).unwrap().stop();
    assert_eq!(session.messages().len(), 4);
}

#[test]
fn opening_an_image_is_cancelled_and_timed_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    std::fs::write(&path, noise_image(1, 4000, 4000).to_png().unwrap()).unwrap();
    let image = Image::open_with(&path, &CallOptions::new()).unwrap();
    assert_eq!(image.pixels(), Image::open(&path).unwrap().pixels());
    let timed = Image::open_with(&path, &CallOptions::new().timeout(Duration::from_millis(2)));
    assert!(matches!(timed, Err(Error::Timeout)), "{timed:?}");
    let token = CancelToken::new();
    let other = token.clone();
    let canceller = thread::spawn(move || {
        thread::sleep(Duration::from_millis(1));
        other.cancel();
    });
    let call = CallOptions::new().cancel(&token);
    let cancelled = Image::open_with(&path, &call);
    assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
    canceller.join().unwrap();
    assert!(matches!(Image::open_with(&path, &call), Err(Error::Cancelled)));
    let missing = Image::open_with(folder.path().join("b.png"), &CallOptions::new());
    assert!(matches!(missing, Err(Error::Io { .. })), "{missing:?}");
}
