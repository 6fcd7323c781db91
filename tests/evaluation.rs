//! Scores of every kind of evaluation item.

use mimo_vl_examples::evaluation::Item;
use mimo_vl_tests::fixtures::scripted_engine::{ScriptedModel, without_drafts};

/// The score of the answer `text`, about an image of 280 × 140 pixels, to an item of this kind.
fn score(kind: &str, expected: &str, text: &str) -> f64 {
    let line = format!("{{\"question\": \"?\", \"kind\": \"{kind}\", \"answer\": {expected}}}");
    let item: Item = serde_json::from_str(&line).unwrap();
    item.score(&ScriptedModel::new(text).ask(&without_drafts())).unwrap()
}

#[test]
fn every_kind_of_item_is_scored() {
    assert_eq!(score("exact", "\"a cat\"", "A cat."), 1.0);
    assert_eq!(score("exact", "[\"dog\", \"42\"]", "So it is \\boxed{42}"), 1.0);
    assert_eq!(score("exact", "\"cat\"", "dog"), 0.0);
    assert_eq!(score("choice", "\"B\"", "The answer is (B)."), 1.0);
    assert_eq!(score("choice", "\"C\"", "B"), 0.0);
    assert_eq!(score("anls", "[\"hello\"]", "hallo"), 0.8);
    assert_eq!(score("anls", "[\"hello\"]", "xyz"), 0.0);
    assert_eq!(score("relaxed", "\"100\"", "104"), 1.0);
    assert_eq!(score("relaxed", "\"100\"", "106"), 0.0);
    assert_eq!(score("count", "3", "There are 3 of them."), 1.0);
    assert_eq!(score("count", "\"3\"", "4"), 0.0);
    assert_eq!(score("box", "[0, 0, 100, 100]", "[{\"bbox_2d\": [0, 0, 100, 60]}]"), 1.0);
    assert_eq!(score("box", "[0, 0, 100, 100]", "[{\"bbox_2d\": [0, 0, 100, 40]}]"), 0.0);
    assert_eq!(score("box", "[0, 0, 100, 100]", "nothing"), 0.0);
    assert_eq!(score("point", "[10, 10, 30, 30]", "{\"point_2d\": [20, 29]}"), 1.0);
    assert_eq!(score("point", "[10, 10, 30, 30]", "[{\"bbox_2d\": [0, 0, 40, 40]}]"), 1.0, "the center of the box");
    assert_eq!(score("point", "[10, 10, 30, 30]", "{\"point_2d\": [31, 20]}"), 0.0);
    assert_eq!(score("time", "[10, 20]", "[00:10, 00:20]"), 1.0);
    assert_eq!(score("time", "[10, 20]", "[00:15, 00:25]"), 1.0 / 3.0);
    assert_eq!(score("time", "[10, 20]", "never"), 0.0);
}

#[test]
fn expected_answers_of_the_wrong_type_are_errors() {
    for (kind, expected) in
        [("box", "[1, 2, 3]"), ("time", "\"soon\""), ("count", "1.5"), ("anls", "[]"), ("point", "7")]
    {
        let line = format!("{{\"question\": \"?\", \"kind\": \"{kind}\", \"answer\": {expected}}}");
        let item: Item = serde_json::from_str(&line).unwrap();
        let scored = item.score(&ScriptedModel::new("7").ask(&without_drafts()));
        assert!(matches!(scored, Err(mimo_vl_core::Error::Option { .. })), "{kind} {expected}: {scored:?}");
    }
}
