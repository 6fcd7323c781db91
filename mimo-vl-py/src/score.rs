//! Scores of answers, for `mimo_vl.score`.

use mimo_vl_core::expert::json_value_range;
use mimo_vl_core::{score, time_span};
use pyo3::prelude::*;

use crate::answer::Characters;

/// Where a value of an answer in JSON stands, in characters: its start and its end.
#[pyfunction]
pub(crate) fn answer_field(text: &str, pointer: &str) -> Option<(usize, usize)> {
    json_value_range(text, pointer).map(|range| Characters::of(text).range(&range))
}

/// Whether an answer is the expected text or number, as far as the report's evaluation looks.
#[pyfunction]
pub(crate) fn score_exact(answer: &str, expected: &str) -> bool {
    score::exact(answer, expected)
}

/// The letter that an answer chooses of so many.
#[pyfunction]
pub(crate) fn score_choice(answer: &str, choices: usize) -> Option<char> {
    score::choice(answer, choices)
}

/// The whole number that an answer gives.
#[pyfunction]
pub(crate) fn score_count(answer: &str) -> Option<i64> {
    score::count(answer)
}

/// Normalised similarity to the most similar of the expected texts, from 0 to 1.
#[pyfunction]
pub(crate) fn score_anls(answer: &str, expected: Vec<String>) -> f64 {
    score::anls(answer, &expected.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Whether an answer is the expected text, or a number within 5 % of it.
#[pyfunction]
pub(crate) fn score_relaxed(answer: &str, expected: &str) -> bool {
    score::relaxed(answer, expected)
}

/// Start and end of the span of time that an answer names, in seconds.
#[pyfunction]
pub(crate) fn score_time_span(answer: &str) -> Option<(f64, f64)> {
    time_span(answer)
}
