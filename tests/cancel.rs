//! Work that is stopped: by a flag, by a deadline, or because nobody reads on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mimo_vl_core::{
    CancelToken, Error, ErrorCode, Event, GenerateOptions, Image, Prompt, Session, StopReason, TaskControl,
};
use mimo_vl_tests::fixtures::tiny_model::{messages, model, noise_image, sampled, short, text_of};

/// Ask a second question with `interrupt`, which must fail or break off, and check that nothing of it is left.
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
    assert!(session.cached_tokens() < expected.prompt_tokens, "tokens of the dropped turn are still held");
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
fn cancel_rolls_back() {
    check_rollback(|session, prompt| {
        let cancel = session.cancel();
        let mut stream = session.stream(prompt, &short()).unwrap();
        assert!(stream.next().unwrap().is_ok());
        std::thread::spawn(move || cancel.cancel()).join().unwrap();
        let rest: Vec<_> = stream.by_ref().collect();
        assert!(matches!(rest.last(), Some(Err(Error::Cancelled))), "{rest:?}");
        assert!(stream.next().is_none());
        assert_eq!(stream.answer().unwrap_err().code(), ErrorCode::Cancelled);
    });
}

#[test]
fn cancel_from_another_thread_ends_an_answer() {
    let mut session = model().session();
    let (cancel, done) = (session.cancel(), AtomicBool::new(false));
    let cancelled = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                cancel.cancel();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        // An answer takes many milliseconds; only one that happens to end at once can get through.
        let cancelled = (0..20).any(|seed| {
            let generate = GenerateOptions::new().max_tokens(2000).temperature(2.0).seed(seed);
            matches!(session.ask(&Prompt::user().text("Count."), &generate), Err(Error::Cancelled))
        });
        done.store(true, Ordering::Relaxed);
        cancelled
    });
    assert!(cancelled);
    assert_eq!(session.messages().len() % 2, 0);
    assert!(session.ask(&Prompt::user().text("Go on."), &short()).is_ok(), "a new call lowers the flag");
}

#[test]
fn stop_keeps_the_turn() {
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
fn opening_a_picture_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    std::fs::write(&path, noise_image(1, 4000, 4000).to_png().unwrap()).unwrap();
    let whole = Image::open_watched(&path, TaskControl::new()).unwrap();
    assert_eq!(whole.pixels(), Image::open(&path).unwrap().pixels());
    let (cancel, late) = (CancelToken::new(), Instant::now() + Duration::from_millis(2));
    let timed = Image::open_watched(&path, TaskControl::new().deadline(late));
    assert!(matches!(timed, Err(Error::Timeout)), "{timed:?}");
    let raised = cancel.clone();
    let raising = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1));
        raised.cancel();
    });
    let stopped = Image::open_watched(&path, TaskControl::new().cancel(&cancel));
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
    raising.join().unwrap();
    assert!(matches!(Image::open_watched(&path, TaskControl::new().cancel(&cancel)), Err(Error::Cancelled)));
    let missing = Image::open_watched(folder.path().join("b.png"), TaskControl::new());
    assert!(matches!(missing, Err(Error::Io { .. })), "{missing:?}");
}
