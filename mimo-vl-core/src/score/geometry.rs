//! Metrics of boxes, points and time spans.

/// Intersection over union of two boxes (left, top, right, bottom), from 0 to 1; 0 if both are empty.
pub fn iou(a: [f64; 4], b: [f64; 4]) -> f64 {
    let (intersection, union) = intersection_and_union(a, b);
    if union > 0.0 { intersection / union } else { 0.0 }
}

/// Generalized intersection over union, from -1 to 1: IoU minus the fraction of the smallest enclosing box that neither
/// box covers (Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019).
pub fn generalized_iou(a: [f64; 4], b: [f64; 4]) -> f64 {
    let (_, union) = intersection_and_union(a, b);
    let enclosing = area([a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]);
    if enclosing > 0.0 { iou(a, b) - (enclosing - union) / enclosing } else { 0.0 }
}

/// Returns `true` if a box (left, top, right, bottom) contains a point, edges included.
pub fn contains(edges: [f64; 4], [x, y]: [f64; 2]) -> bool {
    let [left, top, right, bottom] = edges;
    (left..=right).contains(&x) && (top..=bottom).contains(&y)
}

/// Intersection over union of two time spans (start, end), from 0 to 1. The union runs from the first start to the last
/// end. 0 if both are empty.
pub fn time_iou(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (intersection, union) = (a.1.min(b.1) - a.0.max(b.0), a.1.max(b.1) - a.0.min(b.0));
    if union > 0.0 { intersection.max(0.0) / union } else { 0.0 }
}

fn area([left, top, right, bottom]: [f64; 4]) -> f64 {
    (right - left).max(0.0) * (bottom - top).max(0.0)
}

/// The areas of intersection and union.
fn intersection_and_union(a: [f64; 4], b: [f64; 4]) -> (f64, f64) {
    let intersection = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    (intersection, area(a) + area(b) - intersection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_of_equal_overlapping_and_disjoint_boxes() {
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
    fn iou_of_overlapping_disjoint_and_empty_time_spans() {
        assert_eq!(time_iou((0.0, 10.0), (5.0, 15.0)), 5.0 / 15.0);
        assert_eq!(time_iou((0.0, 1.0), (2.0, 3.0)), 0.0);
        assert_eq!(time_iou((1.0, 1.0), (1.0, 1.0)), 0.0);
    }
}
