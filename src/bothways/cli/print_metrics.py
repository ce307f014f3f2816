"""Print the metrics of runs and models."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any

from bothways.cli.tables import print_table
from bothways.evaluation.evaluate import Calibration
from bothways.evaluation.metrics import Metrics
from bothways.training.loop.events import EpochDone
from bothways.training.run_metrics import RunMetrics

_BOUNDS = {
    "least": " (the minimum; the best temperature is lower)",
    "most": " (the maximum; the best temperature is higher)",
}
_SEGMENT_NAMES = ("edit score", "F1 at 10 %", "F1 at 25 %", "F1 at 50 %")  # as SegmentMetrics


def got(metrics: Metrics) -> str:
    """Return the accuracy in the form that the notebooks print."""
    return f"Got {metrics.correct} / {metrics.count} with accuracy {100 * metrics.accuracy:.2f}"


def print_run(epochs: Sequence[EpochDone], metrics: RunMetrics) -> None:
    """Print the epochs of a training run and its final metrics."""
    has_validation = metrics.validation is not None
    is_ragged = any(epoch.padding_waste > 0 for epoch in epochs)
    columns = ["epoch", "loss", "accuracy", "seconds", "sequences/s"]
    if has_validation:
        columns[3:3] = ["validation loss", "validation accuracy"]
    if is_ragged:
        columns.append("padding")
    rows = []
    for epoch in epochs:
        row = [
            epoch.epoch,
            f"{epoch.loss:.4f}",
            f"{epoch.accuracy:.2%}",
            f"{epoch.seconds:.1f}",
            f"{epoch.sequences_per_second:,.0f}",
        ]
        if has_validation:
            row[3:3] = [f"{epoch.validation_loss:.4f}", f"{epoch.validation_accuracy:.2%}"]
        if is_ragged:
            row.append(f"{epoch.padding_waste:.1%}")
        rows.append(row)
    print_table(columns, rows)
    if metrics.epoch is not None:
        print(f"selected epoch {metrics.epoch}, the best on the validation set")
    if metrics.calibration is not None:
        print(_describe_calibration(metrics.calibration))
    print_accuracies(metrics.splits)


def _describe_calibration(calibration: Calibration) -> str:
    bound = _BOUNDS.get(calibration.bound or "", "")
    return (
        f"calibrated: temperature {calibration.temperature:.3f}{bound}\n"
        f"validation log loss {calibration.log_loss_before:.4f} -> "
        f"{calibration.log_loss_after:.4f}, "
        f"calibration error {calibration.error_before:.4f} -> {calibration.error_after:.4f}"
    )


def print_accuracies(splits: Mapping[str, Metrics]) -> None:
    """Print one line for each split, or a table for labels of time steps."""
    segments = {split: m.segments for split, m in splits.items() if m.segments is not None}
    if segments:
        print_table(
            [
                "split",
                "steps",
                "correct",
                "accuracy",
                *_SEGMENT_NAMES,
            ],
            [
                [
                    split,
                    f"{splits[split].count:,}",
                    f"{splits[split].correct:,}",
                    f"{splits[split].accuracy:.2%}",
                    *(f"{value:.3f}" for value in astuple(found)),
                ]
                for split, found in segments.items()
            ],
        )
        return
    for split, metrics in splits.items():
        of_windows = "" if metrics.recordings is None else " of windows"
        print(f"{split + ':':<12}{got(metrics)}{of_windows}")
        if metrics.recordings is not None:
            print(f"{'':<12}{got(metrics.recordings)} of recordings")


def print_metrics(split: str, metrics: Metrics) -> None:
    """Print all metrics of one split, of its windows and its recordings."""
    if metrics.recordings is not None:
        print_metrics(f"{split}, windows", replace(metrics, recordings=None))
        print()
        print_metrics(f"{split}, recordings", metrics.recordings)
        return
    segments = metrics.segments
    print(f"{split}: {got(metrics)}" + ("" if segments is None else " of time steps"))
    print(
        f"balanced accuracy {metrics.balanced_accuracy:.4f}, macro F1 {metrics.macro_f1:.4f}\n"
        f"log loss {metrics.log_loss:.4f}, "
        f"expected calibration error {metrics.expected_calibration_error:.4f}"
    )
    if segments is not None:
        values = zip(_SEGMENT_NAMES, astuple(segments), strict=True)
        print(f"segments: {', '.join(f'{name} {value:.4f}' for name, value in values)}")
    print_table(
        ["class", "precision", "recall", "F1", "count"],
        [
            [name, f"{c.precision:.4f}", f"{c.recall:.4f}", f"{c.f1:.4f}", c.count]
            for name, c in metrics.per_class.items()
        ],
    )
    matrix = zip(metrics.per_class, metrics.confusion_matrix, strict=True)
    print_table(
        ["true \\ predicted", *metrics.per_class],
        [[name, *row] for name, row in matrix],
    )


def print_comparison(milliseconds: dict[str, dict[str, float]]) -> None:
    """Print the times that `bench.compare` measured, and their ratio."""
    ours, theirs = milliseconds["bothways.nn"], milliseconds["torch.nn"]
    rows = [
        [work, f"{ours[work]:.3g} ms", f"{theirs[work]:.3g} ms", f"{theirs[work] / ours[work]:.2f}"]
        for work in ours
    ]
    print_table(["", "bothways.nn", "torch.nn", "speed ratio"], rows)


def print_scaling(milliseconds: dict[str, float]) -> None:
    """Print the times of a step that `measure_scaling` returns, and their ratios to the first."""
    first = next(iter(milliseconds.values()))
    rows = [
        [division, f"{time:.3g} ms", f"{first / time:.2f}"]
        for division, time in milliseconds.items()
    ]
    print_table(["training step", "time", "speed ratio"], rows)


def print_lookaheads(metrics: Mapping[str, Mapping[str, Metrics | None]]) -> None:
    """Print a row for each lookahead and split."""
    rows = [
        [lookahead, split, f"{found.accuracy:.2%}", f"{found.log_loss:.4f}"]
        + [f"{value:.3f}" for value in astuple(found.segments)]
        for lookahead, splits in metrics.items()
        for split, found in splits.items()
        if found is not None and found.segments is not None
    ]
    print_table(["lookahead", "split", "accuracy", "log loss", *_SEGMENT_NAMES], rows)


def metrics_json(metrics: Mapping[str, Metrics | None]) -> dict[str, Any]:
    """Return the metrics of each split as JSON values."""
    return {split: found and found.to_json() for split, found in metrics.items()}
