"""Cells of the tables in docs/results.md, from the records of trainings."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any, TypeAlias

Record: TypeAlias = Mapping[str, Any]


def percents(records: Sequence[Record], part: str = "test") -> list[float]:
    """Return the accuracies of a part of the data, in percent."""
    return [100 * record["metrics"][part]["accuracy"] for record in records]


def spread(values: Sequence[float]) -> str:
    """Return mean, smallest and largest value."""
    return f"**{mean(values):.2f}** ({min(values):.2f} to {max(values):.2f})"


def spread_and_deviation(values: Sequence[float]) -> str:
    """Return mean, smallest and largest value, and the standard deviation."""
    return f"{spread(values)}, {stdev(values):.2f}" if len(values) > 1 else f"{spread(values)}, -"


def verdict(value: float, target: float) -> str:
    """Return whether a value reaches its target."""
    return "reached" if value >= target else "**missed**"


def wall_seconds(records: Sequence[Record]) -> str:
    """Return the mean seconds of the whole commands."""
    return _seconds([record["wall_seconds"] for record in records])


def training_seconds(records: Sequence[Record]) -> str:
    """Return the mean seconds of all training steps."""
    return _seconds([sum(epoch["seconds"] for epoch in record["epochs"]) for record in records])


def _seconds(values: Sequence[float]) -> str:
    return f"{mean(values):.1f}" if mean(values) < 10 else f"{mean(values):.0f}"
