//! Measures of boxes, points and spans of time.

/// Intersection over union of two boxes, each left, top, right and bottom; 0 where both are empty.
pub fn iou(a: [f64; 4], b: [f64; 4]) -> f64 {
    let (common, union) = overlap(a, b);
    if union > 0.0 { common / union } else { 0.0 }
}

/// Intersection over union less the share of the smallest box around both that neither covers (Rezatofighi and others,
/// "Generalized Intersection over Union", CVPR 2019): from -1 to 1, and below 0 for boxes far apart.
pub fn generalized_iou(a: [f64; 4], b: [f64; 4]) -> f64 {
    let (_, union) = overlap(a, b);
    let around = area([a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]);
    if around > 0.0 { iou(a, b) - (around - union) / around } else { 0.0 }
}

/// Whether a point lies in a box or on its edge.
pub fn contains(edges: [f64; 4], [x, y]: [f64; 2]) -> bool {
    let [left, top, right, bottom] = edges;
    (left..=right).contains(&x) && (top..=bottom).contains(&y)
}

/// Intersection over the whole of two spans of time, each start and end: over the union where they meet, and over all from
/// the first start to the last end; 0 where both are empty.
pub fn time_iou(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (common, whole) = (a.1.min(b.1) - a.0.max(b.0), a.1.max(b.1) - a.0.min(b.0));
    if whole > 0.0 { common.max(0.0) / whole } else { 0.0 }
}

fn area([left, top, right, bottom]: [f64; 4]) -> f64 {
    (right - left).max(0.0) * (bottom - top).max(0.0)
}

/// The areas of intersection and union.
fn overlap(a: [f64; 4], b: [f64; 4]) -> (f64, f64) {
    let common = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    (common, area(a) + area(b) - common)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_compared() {
        let unit = [0.0, 0.0, 2.0, 2.0];
        assert_eq!(iou(unit, unit), 1.0);
        assert_eq!(iou(unit, [1.0, 0.0, 3.0, 2.0]), 1.0 / 3.0);
        assert_eq!(iou(unit, [2.0, 2.0, 3.0, 3.0]), 0.0);
        assert_eq!(iou([1.0; 4], [1.0; 4]), 0.0);
        assert_eq!(generalized_iou(unit, unit), 1.0);
        assert_eq!(generalized_iou(unit, [2.0, 0.0, 4.0, 2.0]), 0.0);
        assert_eq!(generalized_iou(unit, [6.0, 0.0, 8.0, 2.0]), -0.5);
        assert!(contains(unit, [2.0, 0.0]) && !contains(unit, [2.1, 1.0]));
    }

    #[test]
    fn spans_are_compared() {
        assert_eq!(time_iou((0.0, 10.0), (5.0, 15.0)), 5.0 / 15.0);
        assert_eq!(time_iou((0.0, 1.0), (2.0, 3.0)), 0.0);
        assert_eq!(time_iou((1.0, 1.0), (1.0, 1.0)), 0.0);
    }
}
