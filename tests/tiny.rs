//! The shipped model on generated images that it was not trained on.
//!
//! `eval_tiny` measures 1,000 of them; a test needs fewer. The thresholds lie far enough below the measured accuracy
//! that a fixed seed passes or fails reliably.

use mimo_vl_core::{LoadOptions, Model, Thinking, WeightFormat};
use mimo_vl_examples::shapes::{Accuracy, evaluate_questions, evaluate_skills};
use mimo_vl_examples::tiny_model;

fn load(weights: WeightFormat) -> Model {
    Model::load(tiny_model(), &LoadOptions::new().weights(weights)).unwrap()
}

fn accuracy(weights: WeightFormat, thinking: Thinking) -> Accuracy {
    evaluate_questions(&load(weights), 5_150, 200, thinking, |_, _, _| {}).unwrap()
}

#[test]
fn answers_are_correct_without_thinking() {
    let accuracy = accuracy(WeightFormat::F32, Thinking::Off);
    assert!(accuracy.correct >= MIN_CORRECT, "{} of 200 correct: {:?}", accuracy.correct, accuracy.kinds);
    assert!(accuracy.thinking_followed >= 199, "{} of 200 did not think", accuracy.thinking_followed);
}

#[test]
fn answers_are_correct_with_thinking() {
    let accuracy = accuracy(WeightFormat::F32, Thinking::On);
    assert!(accuracy.correct >= MIN_CORRECT, "{} of 200 correct: {:?}", accuracy.correct, accuracy.kinds);
    assert!(accuracy.thinking_followed >= 199, "{} of 200 thought", accuracy.thinking_followed);
}

#[test]
fn answers_stay_correct_with_four_bits() {
    let accuracy = accuracy(WeightFormat::Int4, Thinking::On);
    assert!(accuracy.correct >= MIN_CORRECT, "{} of 200 correct: {:?}", accuracy.correct, accuracy.kinds);
}

#[test]
fn the_model_detects_clicks_reads_and_tracks() {
    let model = load(WeightFormat::F32);
    for thinking in [Thinking::Off, Thinking::On] {
        let scores = evaluate_skills(&model, 5_150, 60, thinking, |_, _, _| {}).unwrap();
        assert!(scores.mean_iou() >= 0.78 && scores.f1() >= 0.9, "{thinking:?}: {scores:?}");
        assert!(scores.clicks >= 57 && scores.readings >= 55 && scores.motions >= 56, "{thinking:?}: {scores:?}");
    }
}

/// Correct answers of 200, at least.
const MIN_CORRECT: usize = 194;
