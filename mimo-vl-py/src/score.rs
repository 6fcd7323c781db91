//! Scores of answers, for `mimo_vl.score`.

use mimo_vl_core::{expert, score, time_span};
use pyo3::prelude::*;

use crate::answer::CharacterIndex;

/// Returns the start and the end, in characters, of a value in an answer that is JSON. `pointer` is that of RFC 6901.
#[pyfunction]
pub(crate) fn json_value_range(text: &str, pointer: &str) -> Option<(usize, usize)> {
    expert::json_value_range(text, pointer).map(|range| CharacterIndex::new(text).range(&range))
}

/// Returns True if an answer is the expected text or number, by the rules of the report's evaluation.
#[pyfunction]
pub(crate) fn score_exact(answer: &str, expected: &str) -> bool {
    score::exact(answer, expected)
}

/// Returns the letter that an answer chooses of `choices` letters.
#[pyfunction]
pub(crate) fn score_choice(answer: &str, choices: usize) -> Option<char> {
    score::choice(answer, choices)
}

/// Returns the whole number in an answer.
#[pyfunction]
pub(crate) fn score_count(answer: &str) -> Option<i64> {
    score::count(answer)
}

/// Returns the average normalized Levenshtein similarity to the most similar expected text, from 0 to 1.
#[pyfunction]
pub(crate) fn score_anls(answer: &str, expected: Vec<String>) -> f64 {
    score::anls(answer, &expected.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Returns True if an answer is the expected text, or a number within 5 % of it.
#[pyfunction]
pub(crate) fn score_relaxed(answer: &str, expected: &str) -> bool {
    score::relaxed(answer, expected)
}

/// Returns the start and the end, in seconds, of the span of time in an answer.
#[pyfunction]
pub(crate) fn score_time_span(answer: &str) -> Option<(f64, f64)> {
    time_span(answer)
}

/// Returns the intersection over union of two boxes (left, top, right, bottom), from 0 to 1.
#[pyfunction]
pub(crate) fn score_iou(a: [f64; 4], b: [f64; 4]) -> f64 {
    score::iou(a, b)
}

/// Returns True if a point (x, y) lies in a box (left, top, right, bottom) or on its edge.
#[pyfunction]
#[pyo3(signature = (r#box, point))]
pub(crate) fn score_contains(r#box: [f64; 4], point: [f64; 2]) -> bool {
    score::contains(r#box, point)
}

/// Returns the intersection over union of two spans of time (start, end), from 0 to 1.
#[pyfunction]
pub(crate) fn score_time_iou(a: [f64; 2], b: [f64; 2]) -> f64 {
    score::time_iou(a.into(), b.into())
}
