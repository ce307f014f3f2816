"""Comparing models: variants of a recipe and simple baselines over several splits.

Here are repeated splits, baselines and the statistics of their differences. Metrics of one model
belong to `bothways.evaluation`.
"""

from bothways.model_selection.compare import compare

__all__ = ["compare"]
