"""The charts of a report, each as an SVG element."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from bothways.errors import counted
from bothways.evaluation.metrics import ECE_BINS
from bothways.pages.examination import Examination
from bothways.report.svg import (
    BAD,
    GOOD,
    INK,
    MUTED,
    SERIES,
    figure,
    legend_label,
    shortened,
    to_svg,
)
from bothways.training.loop.events import EpochDone

_CURVE_POINTS = 300
_LENGTH_BINS = 8
_LOG_ANSWERS = 100  # more answers than this in a bar need a logarithmic axis
_LEAST_SEQUENCES = 10  # in an interval of lengths
ANNOTATED_CLASSES = 20
MATRIX_CLASSES = 60
"""Confusion matrices of more classes are not drawn."""


def loss_curve(
    epochs: Sequence[EpochDone], steps: Sequence[Mapping[str, Any]], chosen: int | None
) -> str:
    """Draw the loss by epoch, and that of single batches.

    Parameters
    ----------
    epochs : sequence of EpochDone
    steps : sequence of dict
        The lines "step" of the history: the loss of single batches.
    chosen : int, optional
        The epoch that was selected on the validation set.
    """
    with figure(4.1, 3.2) as drawn:
        axes = drawn.subplots()
        at, values = _batch_losses(epochs, steps)
        axes.plot(at, values, color=MUTED, linewidth=0.7, alpha=0.6, label="single batches")
        numbers = [epoch.epoch for epoch in epochs]
        _line(axes, numbers, [e.loss for e in epochs], "training", SERIES[0])
        _line(axes, numbers, [e.validation_loss for e in epochs], "validation", SERIES[1])
        if (
            any(0 < 50 * epoch.loss < max(values, default=0) for epoch in epochs)
            and min(values) > 0
        ):
            axes.set_yscale("log")
        _finish_curve(axes, "Loss", chosen, "upper right")
        return to_svg(drawn, f"Loss of {counted(len(epochs), 'epoch')}")


def accuracy_curve(epochs: Sequence[EpochDone], chosen: int | None) -> str:
    """Draw the accuracy by epoch; the parameters are those of `loss_curve`."""
    with figure(4.1, 3.2) as drawn:
        axes = drawn.subplots()
        numbers = [epoch.epoch for epoch in epochs]
        _line(axes, numbers, [e.accuracy for e in epochs], "training", SERIES[0])
        _line(axes, numbers, [e.validation_accuracy for e in epochs], "validation", SERIES[1])
        axes.yaxis.set_major_formatter(_percent)
        _finish_curve(axes, "Accuracy", chosen, "lower right")
        return to_svg(drawn, f"Accuracy of {counted(len(epochs), 'epoch')}")


def _finish_curve(axes: Any, title: str, chosen: int | None, place: str) -> None:
    axes.set(title=title, xlabel="epoch")
    _use_integers(axes)
    if chosen is not None:
        axes.axvline(chosen, color=INK, linewidth=1, linestyle=":", label="selected epoch")
    axes.legend(loc=place)


def _percent(value: float, _: Any) -> str:
    return f"{100 * value:g} %"


def _batch_losses(
    epochs: Sequence[EpochDone], steps: Sequence[Mapping[str, Any]]
) -> tuple[list[float], list[float]]:
    """Return losses of single batches, at their time in epochs."""
    size = epochs[0].step if epochs else 1
    some = steps[:: max(1, len(steps) // _CURVE_POINTS)]
    return [s["epoch"] - 1 + s["step"] / size for s in some], [s["loss"] for s in some]


def overlaid_curves(
    runs: Mapping[str, Sequence[EpochDone]], quantity: Literal["loss", "accuracy"]
) -> str:
    """Draw the loss or the accuracy of several runs, training dashed and validation solid."""
    with figure(4.1, 3.2) as drawn:
        axes = drawn.subplots()
        for n, (name, epochs) in enumerate(runs.items()):
            color = SERIES[n % len(SERIES)]
            at = [epoch.epoch for epoch in epochs]
            of_validation = [getattr(epoch, f"validation_{quantity}") for epoch in epochs]
            of_training = [getattr(epoch, quantity) for epoch in epochs]
            label = name if None in of_validation else ""
            marker = "o" if len(epochs) == 1 else ""
            style = {"linestyle": "--", "linewidth": 1.2, "marker": marker}
            _line(axes, at, of_training, label, color, **style)
            _line(axes, at, of_validation, name, color)
        axes.set(title=quantity.capitalize(), xlabel="epoch")
        _use_integers(axes)
        if quantity == "accuracy":
            axes.yaxis.set_major_formatter(_percent)
        axes.legend(loc="upper right" if quantity == "loss" else "lower right")
        return to_svg(drawn, f"{quantity.capitalize()} by epoch of {', '.join(runs)}")


def _line(
    axes: Any, at: list[int], values: Sequence[float | None], label: str, color: str, **style: Any
) -> None:
    if values and None not in values:
        style = {"marker": "o", "markersize": 3.5, **style}
        axes.plot(at, values, color=color, label=legend_label(label) or "_", **style)


def _use_integers(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def confusion_matrix(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """Draw a confusion matrix: the opacity of a cell is its share of the true class."""
    counts = np.array(matrix)
    size = len(classes)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    side = min(7.2, 2.0 + 0.34 * size)
    with figure(side + 0.4, side) as drawn:
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path

        axes = drawn.subplots()
        corners = np.asarray(Path.unit_rectangle().vertices, np.float64)
        cells = [(int(row), int(column)) for row, column in np.argwhere(counts)]
        alike: dict[tuple[str, float], list[Path]] = {}  # one path of all of them takes less space
        for row, column in cells:
            opacity = 0.1 + 0.55 * round(shares[row, column] ** 0.5, 1)
            square = corners + np.array([column - 0.5, row - 0.5])
            key = (GOOD if row == column else BAD, opacity)
            alike.setdefault(key, []).append(Path(square, closed=True))
        for (color, opacity), squares in alike.items():
            path = Path.make_compound_path(*squares)
            axes.add_patch(PathPatch(path, facecolor=color, alpha=opacity, edgecolor="none"))
        if size <= ANNOTATED_CLASSES:
            font = min(9.0, 36 / len(f"{counts.max():,}"))
            for row, column in cells:
                text = f"{counts[row, column]:,}"
                axes.text(column, row, text, ha="center", va="center", fontsize=font)
        names = [shortened(name) for name in classes]
        axes.set_xticks(range(size), names, rotation=90 if max(map(len, names)) > 2 else 0)
        axes.set_yticks(range(size), names)
        axes.tick_params(length=0, labelsize=9 if size <= 30 else 6)
        axes.set(
            xlim=(-0.5, size - 0.5),
            ylim=(size - 0.5, -0.5),
            xlabel="predicted class",
            ylabel="true class",
            aspect="equal",
        )
        axes.grid(False)
        return to_svg(drawn, f"Confusion matrix of {size} classes")


def reliability(examined: Examination) -> str:
    """Draw the accuracy of predictions by their confidence."""
    known = examined.known
    confidence, correct = examined.confidence[known], examined.correct[known]
    edges = np.linspace(0, 1, ECE_BINS + 1)
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    counts = np.bincount(bins, minlength=ECE_BINS)
    there = counts > 0
    means = np.bincount(bins, confidence, ECE_BINS)[there] / counts[there]
    accuracies = np.bincount(bins, correct, ECE_BINS)[there] / counts[there]
    with figure(4.1, 3.4) as drawn:
        axes = drawn.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--", label="perfect")
        axes.bar(
            edges[:-1][there], accuracies, 1 / ECE_BINS, align="edge", color=SERIES[0], alpha=0.35
        )
        axes.plot(means, accuracies, color=SERIES[0], marker="o", markersize=4, label="this model")
        low = max(0.0, edges[:-1][there][0] - 0.02)
        axes.set(
            title="Reliability",
            xlabel="confidence (mean of its interval)",
            ylabel="accuracy",
            xlim=(low, 1.01),
            ylim=(0, 1.02),
        )
        axes.legend(loc="best")
        return to_svg(drawn, "Accuracy of the predictions by confidence")


def confidence_histogram(examined: Examination) -> str:
    """Draw how many correct and wrong predictions have which confidence."""
    known = examined.known
    confidence, correct = examined.confidence[known], examined.correct[known]
    edges = np.linspace(1 / examined.probabilities.shape[1], 1, 26)
    with figure(4.1, 3.4) as drawn:
        axes = drawn.subplots()
        for answers, color, label in ((correct, GOOD, "correct"), (~correct, BAD, "wrong")):
            axes.hist(confidence[answers], edges, histtype="stepfilled", color=color, alpha=0.3)
            axes.hist(confidence[answers], edges, histtype="step", color=color, label=label)
        axes.set(title="Confidence", xlabel="probability of the prediction", ylabel="predictions")
        if axes.get_ylim()[1] > _LOG_ANSWERS:
            axes.set_yscale("log")
            axes.set_ylim(bottom=0.8)
            axes.yaxis.set_minor_formatter(lambda value, _: "")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.legend(loc="best")
        return to_svg(drawn, "Histogram of the confidence of correct and wrong predictions")


def accuracy_by_length(examined: Examination) -> str:
    """Draw the accuracy for intervals of lengths with about equally many sequences."""
    lengths = examined.sequences.lengths.numpy()
    count = min(_LENGTH_BINS, max(1, len(lengths) // _LEAST_SEQUENCES))
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, count + 1)).round())
    bins = np.clip(np.searchsorted(edges, lengths, side="right") - 1, 0, max(0, len(edges) - 2))
    names, accuracies, counts = [], [], []
    for n in range(max(1, len(edges) - 1)):
        inside = bins == n
        if inside.any():
            low, high = int(lengths[inside].min()), int(lengths[inside].max())
            names.append(f"{low}" if low == high else f"{low} to {high}")
            accuracies.append(float(examined.accuracy_by_sequence[inside].mean()))
            counts.append(int(inside.sum()))
    with figure(8.4, 2.8) as drawn:
        axes = drawn.subplots()
        axes.bar(names, accuracies, color=SERIES[0], width=0.7)
        for n, (accuracy, count) in enumerate(zip(accuracies, counts, strict=True)):
            text = f"{100 * accuracy:.1f} %\n{counted(count, 'sequence')}"
            axes.text(n, accuracy + 0.02, text, ha="center", va="bottom", fontsize=8)
        axes.set(title="Accuracy by length", xlabel="time steps of a sequence", ylim=(0, 1.3))
        axes.set_yticks(np.linspace(0, 1, 6), [f"{n} %" for n in range(0, 101, 20)])
        return to_svg(drawn, "Accuracy of sequences by their number of time steps")
