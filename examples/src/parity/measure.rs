//! The distance between two matrices.

/// ‖actual − expected‖ / ‖expected‖ in f64.
///
/// Infinite when the lengths differ, when a value is not finite, and when `expected` is zero and `actual` is not.
pub fn relative_error(actual: &[f32], expected: &[f32]) -> f64 {
    if actual.len() != expected.len() {
        return f64::INFINITY;
    }
    let pairs = || actual.iter().zip(expected).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    let difference: f64 = pairs().map(|(a, b)| (a - b).powi(2)).sum();
    let size: f64 = pairs().map(|(_, b)| b.powi(2)).sum();
    match (difference / size).sqrt() {
        _ if difference == 0.0 => 0.0,
        error if error.is_nan() => f64::INFINITY,
        error => error,
    }
}

/// The larger of the relative error of the matrix and that of its worst row.
///
/// # Shapes
/// - `actual`, `expected`: `[rows, width]`, row by row
pub fn worst_error(actual: &[f32], expected: &[f32], width: usize) -> f64 {
    let rows = actual.chunks(width.max(1)).zip(expected.chunks(width.max(1)));
    rows.map(|(actual, expected)| relative_error(actual, expected)).fold(relative_error(actual, expected), f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_relative_to_the_expected_values() {
        assert_eq!(relative_error(&[3.0, 4.0], &[3.0, 4.0]), 0.0);
        assert_eq!(relative_error(&[3.0, 5.0], &[3.0, 4.0]), 0.2);
        assert_eq!(relative_error(&[0.0], &[0.0]), 0.0);
    }

    #[test]
    fn values_that_cannot_be_compared_have_an_infinite_error() {
        for (actual, expected) in [
            (&[f32::NAN][..], &[1.0][..]),
            (&[1.0], &[f32::NAN]),
            (&[f32::INFINITY], &[f32::INFINITY]),
            (&[1.0], &[0.0]),
            (&[1.0], &[1.0, 2.0]),
            (&[], &[1.0]),
        ] {
            assert_eq!(worst_error(actual, expected, 1), f64::INFINITY, "{actual:?} {expected:?}");
        }
    }

    #[test]
    fn the_error_is_that_of_the_worst_row() {
        assert_eq!(worst_error(&[100.0, 1.0], &[100.0, 2.0], 1), 0.5);
        assert_eq!(worst_error(&[100.0, f32::NAN], &[100.0, 2.0], 1), f64::INFINITY);
    }
}
