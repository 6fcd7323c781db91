//! The shipped model on freshly drawn scenes that it was not trained on.
//!
//! 1,000 scenes are measured by `eval_tiny`; here 200 guard against a defect. The bounds lie far enough below the
//! measured accuracy that a fixed seed passes or fails for good.

use mimo_vl_core::{LoadOptions, Model, Thinking, Weights};
use mimo_vl_examples::shapes::{Accuracy, measure};
use mimo_vl_examples::tiny_model;

fn accuracy(weights: Weights, thinking: Thinking) -> Accuracy {
    let model = Model::load(tiny_model(), &LoadOptions::new().weights(weights)).unwrap();
    measure(&model, 5_150, 200, thinking, |_, _, _| {}).unwrap()
}

#[test]
fn answers_are_right_without_thinking() {
    let accuracy = accuracy(Weights::F32, Thinking::Off);
    assert!(accuracy.right >= RIGHT, "{} of 200 right: {:?}", accuracy.right, accuracy.kinds);
    assert!(accuracy.obeyed >= 199, "{} of 200 did not think", accuracy.obeyed);
}

#[test]
fn answers_are_right_with_thinking() {
    let accuracy = accuracy(Weights::F32, Thinking::On);
    assert!(accuracy.right >= RIGHT, "{} of 200 right: {:?}", accuracy.right, accuracy.kinds);
    assert!(accuracy.obeyed >= 199, "{} of 200 thought", accuracy.obeyed);
}

#[test]
fn four_bits_keep_the_answers() {
    let accuracy = accuracy(Weights::Int4, Thinking::On);
    assert!(accuracy.right >= RIGHT, "{} of 200 right: {:?}", accuracy.right, accuracy.kinds);
}

/// Right answers of 200.
const RIGHT: usize = 192;
