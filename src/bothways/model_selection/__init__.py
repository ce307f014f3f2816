"""Comparison of models: variants of a recipe and simple baselines, with several splits.

Repeated splits, baselines and statistical tests belong here. The metrics of one model belong to
`bothways.evaluation`.
"""

from bothways.model_selection.compare import compare

__all__ = ["compare"]
