"""Scores of answers, by the measures of MiMo-VL's report. Text is compared without the thinking."""

from ._native import (
    score_anls as anls,
    score_choice as choice,
    score_contains as contains,
    score_count as count,
    score_exact as exact,
    score_iou as iou,
    score_relaxed as relaxed,
    score_time_iou as time_iou,
    score_time_span as time_span,
)

__all__ = ["anls", "choice", "contains", "count", "exact", "iou", "relaxed", "time_iou", "time_span"]
