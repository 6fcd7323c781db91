"""How good an answer is: the measures of the model's report, for its text without the thinking."""

from ._native import (
    score_anls as anls,
    score_choice as choice,
    score_count as count,
    score_exact as exact,
    score_relaxed as relaxed,
    score_time_span as time_span,
)

__all__ = ["anls", "choice", "contains", "count", "exact", "iou", "relaxed", "time_iou", "time_span"]

Box = tuple[float, ...]


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes (left, top, right, bottom)."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / whole if whole > 0 else 0.0


def contains(box: Box, point: Box) -> bool:
    """Whether a point (x, y) lies in a box."""
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def time_iou(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Intersection over union of two spans of time."""
    shared = max(min(a[1], b[1]) - max(a[0], b[0]), 0.0)
    whole = (a[1] - a[0]) + (b[1] - b[0]) - shared
    return shared / whole if whole > 0 else 0.0
