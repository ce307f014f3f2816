"""Print the metrics of runs, models and comparisons."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bothways.cli.tables import print_table
from bothways.evaluation.segments import F1_FIGURES

if TYPE_CHECKING:  # it imports scikit-learn
    from bothways.model_selection.compare import Comparison, Difference

_BOUNDS = {
    "least": " (the minimum: the validation split suggests even more confident probabilities)",
    "most": " (the maximum: the validation split suggests even less confident probabilities)",
}
_SEGMENT_FIGURES = {
    f"F1 at {100 * overlap:.0f} %": name for overlap, name in F1_FIGURES.items()
} | {"edit score": "edit_score"}


def got(figures: dict[str, Any]) -> str:
    """Return the accuracy in the form that the notebooks print."""
    return (
        f"Got {figures['correct']} / {figures['count']} "
        f"with accuracy {100 * figures['accuracy']:.2f}"
    )


def print_run(history: Sequence[dict[str, Any]], metrics: dict[str, Any]) -> None:
    """Print the epochs of a training run and its final metrics."""
    epochs = [line for line in history if line["kind"] == "epoch"]
    has_validation = metrics["validation"] is not None
    is_ragged = any(line["padding_waste"] > 0 for line in epochs)
    columns = ["epoch", "loss", "accuracy", "seconds", "sequences/s"]
    if has_validation:
        columns[3:3] = ["validation loss", "validation accuracy"]
    if is_ragged:
        columns.append("padding")
    rows = []
    for line in epochs:
        row = [
            line["epoch"],
            f"{line['loss']:.4f}",
            f"{line['accuracy']:.2%}",
            f"{line['seconds']:.1f}",
            f"{line['sequences_per_second']:,.0f}",
        ]
        if has_validation:
            row[3:3] = [f"{line['validation_loss']:.4f}", f"{line['validation_accuracy']:.2%}"]
        if is_ragged:
            row.append(f"{line['padding_waste']:.1%}")
        rows.append(row)
    print_table(columns, rows)
    if has_validation:
        print(f"selected epoch {metrics['validation']['epoch']}, the best on the validation split")
        calibration = metrics["validation"].get("calibration")
        if calibration is not None:
            print(
                f"temperature {calibration['temperature']:.3f}"
                f"{_BOUNDS.get(calibration.get('bound'), '')}: on validation, log loss "
                f"{calibration['log_loss_before']:.4f} -> {calibration['log_loss_after']:.4f}, "
                f"calibration error {calibration['error_before']:.4f} -> "
                f"{calibration['error_after']:.4f}"
            )
    print_accuracies(metrics)


def print_accuracies(metrics: dict[str, Any]) -> None:
    """Print one line for each split, or a table for labels of time steps."""
    measured = {split: figures for split, figures in metrics.items() if figures is not None}
    if any("edit_score" in figures for figures in measured.values()):
        print_table(
            ["split", "steps", "right", "accuracy", *_SEGMENT_FIGURES],
            [
                [
                    split,
                    f"{figures['count']:,}",
                    f"{figures['correct']:,}",
                    f"{figures['accuracy']:.2%}",
                    *(f"{figures[name]:.3f}" for name in _SEGMENT_FIGURES.values()),
                ]
                for split, figures in measured.items()
            ],
        )
        return
    for split, figures in measured.items():
        print(f"{split + ':':<12}{got(figures)}")


def print_metrics(split: str, figures: dict[str, Any]) -> None:
    """Print all metrics of one split."""
    print(f"{split}: {got(figures)}" + (" of time steps" if "edit_score" in figures else ""))
    print(
        f"balanced accuracy {figures['balanced_accuracy']:.4f}, "
        f"macro F1 {figures['macro_f1']:.4f}, "
        f"log loss {figures['log_loss']:.4f}, "
        f"expected calibration error {figures['expected_calibration_error']:.4f}"
    )
    if "edit_score" in figures:
        segments = (f"{title} {figures[name]:.4f}" for title, name in _SEGMENT_FIGURES.items())
        print(f"segments: {', '.join(segments)}")
    per_class = figures["per_class"]
    print_table(
        ["class", "precision", "recall", "F1", "count"],
        [
            [name, f"{c['precision']:.4f}", f"{c['recall']:.4f}", f"{c['f1']:.4f}", c["count"]]
            for name, c in per_class.items()
        ],
    )
    matrix = zip(per_class, figures["confusion_matrix"], strict=True)
    print_table(
        ["true \\ predicted", *per_class],
        [[name, *row] for name, row in matrix],
    )


def print_candidates(comparison: "Comparison") -> None:
    """Print the accuracies of all candidates, and what they mean."""
    print_table(
        ["candidate", "accuracy, mean", "deviation", "rounds"],
        [
            [c.name, f"{c.mean:.2%}", f"{c.deviation:.2%}", len(c.accuracies)]
            for c in sorted(comparison.candidates, key=lambda c: -c.mean)
        ],
    )
    questions = {
        "Does a recurrent network help here?": comparison.recurrent_against_baseline,
        "Does the backward direction help?": comparison.both_ways_against_forward,
    }
    for question, difference in questions.items():
        if difference is not None:
            print(f"{question} {describe_difference(difference)}")


def describe_difference(difference: "Difference") -> str:
    """Return which candidate is better, by how much, and whether the difference is significant."""
    points = f"{difference.first} minus {difference.second}: {100 * difference.mean:+.2f} points"
    if math.isnan(difference.p_value):
        return f"{points}; one round is not enough for a test. Use more --rounds."
    interval = (
        f"95 % interval {100 * difference.low:+.2f} to {100 * difference.high:+.2f}, "
        f"p = {difference.p_value:.2g}"
    )
    sure = difference.p_value < 0.05
    verdict = "The difference is not statistically significant"
    if sure:
        verdict = "Yes" if difference.mean > 0 else "No, it is worse"
    return f"{verdict}. {points} ({interval}, t-test corrected for overlapping splits)."


def print_comparison(milliseconds: dict[str, dict[str, float]]) -> None:
    """Print the times that `bench.compare` measured, and their ratio."""
    ours, theirs = milliseconds["bothways.nn"], milliseconds["torch.nn"]
    rows = [
        [work, f"{ours[work]:.3g} ms", f"{theirs[work]:.3g} ms", f"{theirs[work] / ours[work]:.2f}"]
        for work in ours
    ]
    print_table(["", "bothways.nn", "torch.nn", "speed ratio"], rows)
