"""The variants of recipe `time-series` that `series_search.py` runs.

A variant is a dict of settings that replace those of the recipe. Its key "step", if it has one, is
a dict of settings that replace these in turn where steps have labels. Records are found by name and
settings, so a variant whose recipe or code has changed needs a new name.
"""

from typing import Any

VARIANTS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "dataset 2000": {"steps": 2000},
    "robust 2000": {"steps": 2000, "normalization": "robust"},
    "both shift 2000": {
        "steps": 2000,
        "normalization": "both",
        "step": {"normalization": "robust"},
    },
}
