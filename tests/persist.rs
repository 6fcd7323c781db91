//! Sessions that are saved and go on later.

use mimo_vl_core::{Error, LoadOptions, Model, Prompt, WeightFormat};
use mimo_vl_tests::fixture::{checkpoint, drawn, messages, model, picture, video};
use tempfile::TempDir;

#[test]
fn a_saved_session_goes_on_as_the_one_it_was() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("session.safetensors");
    let mut session = model().session();
    let first = Prompt::user().image(picture(1, 100, 80)).image(picture(2, 60, 120).max_pixels(5000)).text("Compare.");
    session.ask(&first, &drawn(1)).unwrap();
    session.ask(&Prompt::user().video(video()).text("And here?"), &drawn(2).keep_thinking(true)).unwrap();
    session.save(&path).unwrap();
    let bytes = std::fs::metadata(&path).unwrap().len();
    // Without what the other sessions left.
    let fresh = Model::load(checkpoint(), &LoadOptions::new().weights(WeightFormat::F32)).unwrap();
    let mut restored = fresh.load_session(&path).unwrap();
    assert_eq!((restored.messages().len(), restored.cached_tokens()), (4, 0));
    // The first picture again, which both know.
    let question = Prompt::user().image(picture(1, 100, 80)).text("Is this the same?");
    let warm = session.ask(&question, &drawn(3)).unwrap();
    let later = restored.ask(&question, &drawn(3)).unwrap();
    assert_eq!((&warm.ids, warm.prompt_tokens), (&later.ids, later.prompt_tokens));
    assert_eq!(warm.transforms, later.transforms);
    assert!(later.timings.encode.is_zero(), "nothing was encoded: {:?}", later.timings);
    let roles =
        |messages: Vec<mimo_vl_core::Message>| messages.iter().map(|m| (m.role, m.parts.len())).collect::<Vec<_>>();
    assert_eq!(roles(messages(&session)), roles(messages(&restored)));
    // Saved again, it is as large: what is shown twice is there once.
    restored.save(&path).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < bytes + 2000);
    model().session().save(&path).unwrap();
    assert_eq!(model().load_session(&path).unwrap().messages().len(), 0);
}

#[test]
fn files_that_are_no_saved_sessions_are_typed_errors() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("session.safetensors");
    let mut session = model().session();
    session.ask(&Prompt::user().image(picture(1, 100, 80)).text("What?"), &drawn(1)).unwrap();
    session.save(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let reason = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        match model().load_session(&path) {
            Err(Error::Checkpoint { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    for keep in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        assert!(reason(&whole[..keep]).starts_with("not a complete saved session"), "{keep} bytes");
    }
    let text = String::from_utf8_lossy(&whole).into_owned();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from) && from.len() == to.len());
        let at = whole.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut bytes = whole.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        reason(&bytes)
    };
    assert!(changed(r#"{\"version\":1"#, r#"{\"version\":2"#).contains("version 2"));
    let own = model().fingerprint();
    assert!(changed(own, &own.replace(&own[..1], "x")).contains("another model"));
    assert!(changed("media.0.features", "media.9.features").contains("missing"));
    assert!(changed(r#"\"media\":0"#, r#"\"media\":7"#).contains("media item 7"));
    assert!(changed("user", "boss").contains("boss"));
    let weights = std::fs::read(checkpoint().join("model-00001-of-00002.safetensors")).unwrap();
    assert!(reason(&weights).contains("another kind"));
    let missing = model().load_session(folder.path().join("none"));
    assert!(matches!(missing, Err(Error::Io { .. })));
    let elsewhere = session.save(folder.path().join("no/such/folder"));
    assert!(matches!(elsewhere, Err(Error::Io { .. })));
    let rounded = Model::load(checkpoint(), &LoadOptions::new().weights(WeightFormat::Int8)).unwrap();
    std::fs::write(&path, &whole).unwrap();
    assert!(matches!(rounded.load_session(&path), Err(Error::Checkpoint { .. })), "other weights have other features");
}

#[test]
fn crops_come_back_where_they_were() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("session.safetensors");
    let mut session = model().session();
    let part = picture(1, 200, 160).crop(30, 20, 120, 100).unwrap();
    let first = session.ask(&Prompt::user().image(part).text("What?"), &drawn(1)).unwrap();
    session.save(&path).unwrap();
    let mut restored = model().load_session(&path).unwrap();
    let later = restored.ask(&Prompt::user().text("And?"), &drawn(2)).unwrap();
    assert_eq!(later.transforms, first.transforms);
    assert_eq!((first.transforms[0].offset, first.transforms[0].original), ((30, 20), (200, 160)));
}
