"""Drawings of sequences that a model answers wrong."""

from bothways.models.trained_model import TrainedModel
from bothways.pages.examination import Examination
from bothways.pages.examples import mistakes
from bothways.pages.looks import looks_like_picture
from bothways.pages.playback_json import sequence_steps
from bothways.report.drawings import Drawn, Labeled, bands, lines, pictures
from bothways.report.svg import shortened

_PICTURES, _LINES, _BANDS = 12, 9, 6


def draw_mistakes(model: TrainedModel, examined: Examination) -> str:
    """Return a drawing of the worst mistakes as SVG, or "" if there are none."""
    return draw(model, examined, mistakes(examined), "The most confident mistakes")


def draw(model: TrainedModel, examined: Examination, rows: list[int], description: str) -> str:
    """Return a drawing of some sequences as SVG, or "" if `rows` is empty."""
    if not rows:
        return ""
    classes, sequences = model.classes, examined.sequences
    if sequences.target == "step":
        labeled = [
            Labeled(
                f"#{examined.indices[row]}, {examined.accuracy_by_sequence[row]:.1%} right",
                examined.labels[examined.answers_of(row)],
                examined.predicted[examined.answers_of(row)],
            )
            for row in rows[:_BANDS]
        ]
        return bands(labeled, classes, description)
    is_picture = looks_like_picture(model.manifest, sequences.longest)
    numeric = model.manifest.model.numeric_features
    drawn = [
        Drawn(
            f"{shortened(classes[examined.labels[row]])} read as "
            f"{shortened(classes[examined.predicted[row]])}",
            f"#{examined.indices[row]}, {examined.confidence[row]:.1%}",
            sequence_steps(sequences, row)[:, slice(None) if is_picture else numeric],
        )
        for row in rows[: _PICTURES if is_picture else _LINES]
    ]
    return (pictures if is_picture else lines)(drawn, description)
