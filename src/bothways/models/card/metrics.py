"""The tables of metrics of a model card."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple

from bothways.evaluation.metrics import Metrics
from bothways.models.manifest import Manifest


def metrics_section(manifest: Manifest, metrics: Mapping[str, Metrics]) -> Iterator[str]:
    """Yield the lines of the section of the metrics; nothing if there are none."""
    if not metrics:
        return
    training = manifest.provenance.training
    rows = []
    for split, found in metrics.items():
        of_windows = ", windows" if found.recordings is not None else ""
        rows.append((f"{split}{of_windows}", found))
        if found.recordings is not None:
            rows.append((f"{split}, recordings", found.recordings))
    yield "## Metrics"
    yield ""
    if training is not None:
        yield (
            f"Of one training, with seed {training.seed}. Other seeds give other models and "
            "metrics."
        )
        yield ""
    yield from _table(
        (
            "split",
            f"{manifest.model.target}s",
            "accuracy",
            "balanced accuracy",
            "macro F1",
            "log loss",
            "calibration error",
        ),
        [
            (
                name,
                f"{found.count:,}",
                f"{found.accuracy:.2%}",
                f"{found.balanced_accuracy:.2%}",
                f"{found.macro_f1:.4f}",
                f"{found.log_loss:.4f}",
                f"{found.expected_calibration_error:.4f}",
            )
            for name, found in rows
        ],
    )
    segments = {split: m.segments for split, m in metrics.items() if m.segments is not None}
    if segments:
        yield from _table(
            ("split", "edit score", "segment F1 at 10 %", "at 25 %", "at 50 %"),
            [
                (split, *(f"{value:.4f}" for value in astuple(found)))
                for split, found in segments.items()
            ],
        )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (columns, ["---"] * len(columns), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""
