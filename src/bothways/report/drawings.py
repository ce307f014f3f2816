"""Drawings of single sequences: pictures, lines, and bands of labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.data.batching import IGNORED
from bothways.evaluation.segments import segments_of
from bothways.report.svg import BAD, SERIES, figure, legend_label, shortened, to_svg

Array = np.ndarray[Any, np.dtype[Any]]

_POINTS = 200
_COLUMNS = 300
_LEGEND_CLASSES = 12
_FEATURES = 6
_FEW_POINTS = 20  # a single point has no line


@dataclass(frozen=True)
class Drawn:
    """A sequence to draw.

    Parameters
    ----------
    title, subtitle : str
    steps : float32 array (time, input_size)
        With the features to draw.
    """

    title: str
    subtitle: str
    steps: Array


def pictures(drawn: Sequence[Drawn], description: str, columns: int = 6) -> str:
    """Draw sequences as gray pictures, time from top to bottom."""
    rows = -(-len(drawn) // columns)
    with figure(8.4, 1.75 * rows) as page:
        for axes, one in zip(_grid(page, rows, columns, len(drawn)), drawn, strict=True):
            axes.imshow(one.steps, cmap="gray", vmin=0, vmax=1)
            axes.set_axis_off()
            axes.set_title(
                f"{one.title}\n{one.subtitle}", fontsize=8, fontweight="normal", loc="center"
            )
        return to_svg(page, description)


def lines(drawn: Sequence[Drawn], description: str, columns: int = 3) -> str:
    """Draw sequences as one line for each of the first features."""
    rows = -(-len(drawn) // columns)
    with figure(8.4, 1.7 * rows) as page:
        for axes, one in zip(_grid(page, rows, columns, len(drawn)), drawn, strict=True):
            at = _points(len(one.steps))
            for n in range(min(_FEATURES, one.steps.shape[1])):
                marker = "." if len(at) < _FEW_POINTS else ""
                axes.plot(at, one.steps[at, n], color=SERIES[n], linewidth=1, marker=marker)
            axes.set_title(f"{one.title}\n{one.subtitle}", fontsize=8, fontweight="normal")
            axes.tick_params(labelsize=7)
        return to_svg(page, description)


@dataclass(frozen=True)
class Labeled:
    """A sequence whose time steps have labels.

    Parameters
    ----------
    title : str
    true, predicted : integer array (time,)
        Class numbers; a true one may be `IGNORED`.
    """

    title: str
    true: Array
    predicted: Array


def bands(drawn: Sequence[Labeled], classes: Sequence[str], description: str) -> str:
    """Draw the segments of true and of predicted labels, and where they differ.

    Long sequences are drawn with 300 columns; the legend names the 12 most frequent classes.
    """
    with figure(8.4, 0.35 + 0.85 * len(drawn)) as page:
        from matplotlib.patches import Patch

        shown = np.zeros(len(classes), int)
        for axes, one in zip(_grid(page, len(drawn), 1, len(drawn)), drawn, strict=True):
            at = _points(len(one.true), _COLUMNS)
            true, predicted = one.true[at], one.predicted[at]
            wrong = (true != predicted) & (true != IGNORED)
            scale = len(one.true) / len(at)  # steps of a column
            for low, labels in ((2.1, true), (1.1, predicted)):
                _draw_segments(axes, labels, low, scale)
                shown += np.bincount(labels[labels != IGNORED], minlength=len(classes))
            where = _ranges(wrong.astype(int), scale).get(1, [])
            axes.broken_barh(where, (0.6, 0.35), color=BAD)
            axes.set(ylim=(0.5, 3.1), xlim=(0, len(one.true)))
            axes.set_yticks([2.55, 1.55, 0.78], ["true", "predicted", "wrong"], fontsize=7)
            axes.tick_params(labelsize=7, length=0)
            axes.grid(False)
            axes.set_title(one.title, fontsize=8, fontweight="normal")
        frequent = np.argsort(-shown, kind="stable")[:_LEGEND_CLASSES]
        patches = [
            Patch(color=_color(n), label=legend_label(shortened(classes[n])))
            for n in sorted(frequent)
            if shown[n]
        ]
        page.legend(handles=patches, loc="outside lower center", ncols=min(6, len(patches)))
        return to_svg(page, description)


def _draw_segments(axes: Any, labels: Array, low: float, scale: float) -> None:
    """Draw all segments of a class at once: a figure of thousands of artists takes minutes."""
    for label, ranges in _ranges(labels, scale).items():
        if label != IGNORED:
            axes.broken_barh(ranges, (low, 0.9), color=_color(label))


def _ranges(labels: Array, scale: float) -> dict[int, list[tuple[float, float]]]:
    """Return the start and the width of all segments of each label."""
    found: dict[int, list[tuple[float, float]]] = {}
    for label, start, end in segments_of(labels):
        found.setdefault(label, []).append((start * scale, (end - start) * scale))
    return found


def _color(label: int) -> str:
    return SERIES[label % len(SERIES)]


def _grid(page: Any, rows: int, columns: int, count: int) -> list[Any]:
    """Return the first `count` axes of a grid, in reading order; the others are hidden."""
    axes = list(page.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[count:]:
        unused.set_axis_off()
    return axes[:count]


def _points(time: int, count: int = _POINTS) -> Array:
    return np.unique(np.linspace(0, time - 1, min(time, count)).round().astype(int))
