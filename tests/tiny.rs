//! The shipped model on freshly drawn pictures that it was not trained on.
//!
//! 1,000 are measured by `eval_tiny`; here fewer guard against a defect. The bounds lie far enough below the
//! measured accuracy that a fixed seed passes or fails for good.

use mimo_vl_core::{LoadOptions, Model, Thinking, WeightFormat};
use mimo_vl_examples::shapes::{Accuracy, measure, measure_skills};
use mimo_vl_examples::tiny_model;

fn tiny(weights: WeightFormat) -> Model {
    Model::load(tiny_model(), &LoadOptions::new().weights(weights)).unwrap()
}

fn accuracy(weights: WeightFormat, thinking: Thinking) -> Accuracy {
    measure(&tiny(weights), 5_150, 200, thinking, |_, _, _| {}).unwrap()
}

#[test]
fn answers_are_right_without_thinking() {
    let accuracy = accuracy(WeightFormat::F32, Thinking::Off);
    assert!(accuracy.right >= RIGHT, "{} of 200 right: {:?}", accuracy.right, accuracy.kinds);
    assert!(accuracy.obeyed >= 199, "{} of 200 did not think", accuracy.obeyed);
}

#[test]
fn answers_are_right_with_thinking() {
    let accuracy = accuracy(WeightFormat::F32, Thinking::On);
    assert!(accuracy.right >= RIGHT, "{} of 200 right: {:?}", accuracy.right, accuracy.kinds);
    assert!(accuracy.obeyed >= 199, "{} of 200 thought", accuracy.obeyed);
}

#[test]
fn four_bits_keep_the_answers() {
    let accuracy = accuracy(WeightFormat::Int4, Thinking::On);
    assert!(accuracy.right >= RIGHT, "{} of 200 right: {:?}", accuracy.right, accuracy.kinds);
}

#[test]
fn it_detects_clicks_reads_and_follows() {
    let model = tiny(WeightFormat::F32);
    for thinking in [Thinking::Off, Thinking::On] {
        let skills = measure_skills(&model, 5_150, 60, thinking, |_, _, _| {}).unwrap();
        assert!(skills.mean_iou() >= 0.78 && skills.f1() >= 0.9, "{thinking:?}: {skills:?}");
        assert!(skills.clicks >= 57 && skills.readings >= 55 && skills.motions >= 56, "{thinking:?}: {skills:?}");
    }
}

/// Right answers of 200.
const RIGHT: usize = 194;
