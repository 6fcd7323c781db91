//! Saved sessions: loading them gives the same conversation, and damaged files are typed errors.

use mimo_vl_core::{Error, LoadOptions, Model, Prompt, WeightFormat};
use mimo_vl_tests::fixtures::tiny_model::{checkpoint, messages, model, noise_image, sampled, video};
use tempfile::TempDir;

#[test]
fn a_loaded_session_answers_as_the_saved_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("session.safetensors");
    let mut session = model().session();
    let first =
        Prompt::user().image(noise_image(1, 100, 80)).image(noise_image(2, 60, 120).max_pixels(5000)).text("Compare.");
    session.ask(&first, &sampled(1)).unwrap();
    session.ask(&Prompt::user().video(video()).text("And here?"), &sampled(2).keep_thinking(true)).unwrap();
    session.save(&path).unwrap();
    let bytes = std::fs::metadata(&path).unwrap().len();
    // A model of its own, without the feature cache of the first one.
    let fresh = Model::load(checkpoint(), &LoadOptions::new().weights(WeightFormat::F32)).unwrap();
    let mut restored = fresh.load_session(&path).unwrap();
    assert_eq!((restored.messages().len(), restored.cached_tokens()), (4, 0));
    // An image that both sessions have.
    let prompt = Prompt::user().image(noise_image(1, 100, 80)).text("Is this the same?");
    let expected = session.ask(&prompt, &sampled(3)).unwrap();
    let answer = restored.ask(&prompt, &sampled(3)).unwrap();
    assert_eq!((answer.ids, answer.prompt_tokens), (expected.ids, expected.prompt_tokens));
    assert_eq!(answer.transforms, expected.transforms);
    assert!(answer.timings.encode.is_zero(), "features come from the file: {:?}", answer.timings);
    let roles =
        |messages: Vec<mimo_vl_core::Message>| messages.iter().map(|m| (m.role, m.parts.len())).collect::<Vec<_>>();
    assert_eq!(roles(messages(&session)), roles(messages(&restored)));
    // An image that was used twice is stored once.
    restored.save(&path).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < bytes + 2000);
    model().session().save(&path).unwrap();
    assert_eq!(model().load_session(&path).unwrap().messages().len(), 0);
}

#[test]
fn damaged_and_foreign_files_are_typed_errors() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("session.safetensors");
    let mut session = model().session();
    session.ask(&Prompt::user().image(noise_image(1, 100, 80)).text("What?"), &sampled(1)).unwrap();
    session.save(&path).unwrap();
    let saved = std::fs::read(&path).unwrap();
    let reason = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        match model().load_session(&path) {
            Err(Error::Checkpoint { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    for keep in [0, 7, 100, saved.len() / 2, saved.len() - 1] {
        assert!(reason(&saved[..keep]).starts_with("not a complete saved session"), "{keep} bytes");
    }
    let text = String::from_utf8_lossy(&saved).into_owned();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from) && from.len() == to.len());
        let at = saved.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut bytes = saved.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        reason(&bytes)
    };
    assert!(changed(r#"{\"version\":1"#, r#"{\"version\":2"#).contains("version 2"));
    let fingerprint = model().fingerprint();
    assert!(changed(fingerprint, &fingerprint.replace(&fingerprint[..1], "x")).contains("another model"));
    assert!(changed("media.0.features", "media.9.features").contains("missing"));
    assert!(changed(r#"\"media\":0"#, r#"\"media\":7"#).contains("media item 7"));
    assert!(changed("user", "boss").contains("boss"));
    let weights = std::fs::read(checkpoint().join("model-00001-of-00002.safetensors")).unwrap();
    assert!(reason(&weights).contains("another kind"));
    let missing = model().load_session(folder.path().join("none"));
    assert!(matches!(missing, Err(Error::Io { .. })));
    let elsewhere = session.save(folder.path().join("no/such/folder"));
    assert!(matches!(elsewhere, Err(Error::Io { .. })));
    let quantized = Model::load(checkpoint(), &LoadOptions::new().weights(WeightFormat::Int8)).unwrap();
    std::fs::write(&path, &saved).unwrap();
    let error = quantized.load_session(&path);
    assert!(matches!(error, Err(Error::Checkpoint { .. })), "weights of another format: {error:?}");
}

#[test]
fn a_loaded_session_keeps_the_offset_of_a_crop() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("session.safetensors");
    let mut session = model().session();
    let crop = noise_image(1, 200, 160).crop(30, 20, 120, 100).unwrap();
    let first = session.ask(&Prompt::user().image(crop).text("What?"), &sampled(1)).unwrap();
    session.save(&path).unwrap();
    let mut restored = model().load_session(&path).unwrap();
    let later = restored.ask(&Prompt::user().text("And?"), &sampled(2)).unwrap();
    assert_eq!(later.transforms, first.transforms);
    assert_eq!((first.transforms[0].crop_offset, first.transforms[0].full_size), ((30, 20), (200, 160)));
}
