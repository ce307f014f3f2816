"""Drawings of single sequences: pictures, lines, and bands of labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.data.batching import IGNORED
from bothways.evaluation.segments import segments_of
from bothways.report.svg import BAD, SERIES, figure, to_svg

Array = np.ndarray[Any, np.dtype[Any]]

_POINTS = 200
_FEATURES = 6


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
                axes.plot(at, one.steps[at, n], color=SERIES[n], linewidth=1)
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
    """Draw the segments of true and of predicted labels, and where they differ."""
    with figure(8.4, 0.35 + 0.85 * len(drawn)) as page:
        from matplotlib.patches import Patch

        shown: set[int] = set()
        for axes, one in zip(_grid(page, len(drawn), 1, len(drawn)), drawn, strict=True):
            wrong = (one.true != one.predicted) & (one.true != IGNORED)
            for low, labels in ((2.1, one.true), (1.1, one.predicted)):
                for label, start, end in segments_of(labels):
                    if label != IGNORED:
                        shown.add(label)
                        axes.broken_barh([(start, end - start)], (low, 0.9), color=_color(label))
            for is_wrong, start, end in segments_of(wrong.astype(int)):
                if is_wrong:
                    axes.broken_barh([(start, end - start)], (0.6, 0.35), color=BAD)
            axes.set(ylim=(0.5, 3.1), xlim=(0, len(one.true)))
            axes.set_yticks([2.55, 1.55, 0.78], ["true", "predicted", "wrong"], fontsize=7)
            axes.tick_params(labelsize=7, length=0)
            axes.grid(False)
            axes.set_title(one.title, fontsize=8, fontweight="normal")
        patches = [Patch(color=_color(n), label=classes[n]) for n in sorted(shown)]
        page.legend(handles=patches, loc="outside lower center", ncols=min(6, len(patches)))
        return to_svg(page, description)


def _color(label: int) -> str:
    return SERIES[label % len(SERIES)]


def _grid(page: Any, rows: int, columns: int, count: int) -> list[Any]:
    """Return the first `count` axes of a grid, in reading order; the others are hidden."""
    axes = list(page.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[count:]:
        unused.set_axis_off()
    return axes[:count]


def _points(time: int) -> Array:
    return np.unique(np.linspace(0, time - 1, min(time, _POINTS)).round().astype(int))
