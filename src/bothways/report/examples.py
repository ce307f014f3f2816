"""Which sequences a report shows: the most confident mistakes, and examples for the playback."""

import json
from typing import Any

import numpy as np

from bothways.models.trained import TrainedModel
from bothways.pages.looks import looks_like_picture
from bothways.pages.playback_json import playback_json, sequence_steps
from bothways.report.drawings import Drawn, Labeled, bands, lines, pictures
from bothways.report.examination import OPERATIONS, Examination, operations_per_step

Array = np.ndarray[Any, np.dtype[Any]]

_PICTURES, _LINES, _BANDS = 12, 9, 6
_RIGHT_EXAMPLES, _WRONG_EXAMPLES = 6, 4
_PLAYBACK_BYTES = 700_000


def mistakes(model: TrainedModel, examined: Examination) -> list[int]:
    """Return positions of wrong sequences, worst first.

    The worst are those with the most confident wrong answers or, if time steps have labels, with
    the most wrong steps.
    """
    if examined.sequences.target == "step":
        accuracy = examined.accuracy_by_sequence
        order = np.argsort(accuracy, kind="stable")
        return [int(row) for row in order if accuracy[row] < 1]
    wrong = np.flatnonzero(~examined.correct)
    order = np.argsort(-examined.confidence[wrong], kind="stable")
    return [int(row) for row in wrong[order]]


def draw_mistakes(model: TrainedModel, examined: Examination) -> str:
    """Return a drawing of the worst mistakes as SVG, or "" if there are none."""
    return draw(model, examined, mistakes(model, examined), "The most confident mistakes")


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
            f"{classes[examined.labels[row]]} read as {classes[examined.predicted[row]]}",
            f"#{examined.indices[row]}, {examined.confidence[row]:.1%}",
            sequence_steps(sequences, row)[:, slice(None) if is_picture else numeric],
        )
        for row in rows[: _PICTURES if is_picture else _LINES]
    ]
    return (pictures if is_picture else lines)(drawn, description)


def playback_examples(model: TrainedModel, examined: Examination) -> list[dict[str, Any]]:
    """Return playbacks: right answers of different classes, and the worst mistakes."""
    found: list[dict[str, Any]] = []
    size = operations = 0
    for row in _example_rows(model, examined):
        time = int(examined.sequences.lengths[row])
        operations += time * min(time, 2 * _answers(time)) * operations_per_step(model)
        if operations > OPERATIONS / 4 and found:
            break
        answers = examined.answers_of(row)
        labels = examined.labels[answers]
        is_step = examined.sequences.target == "step"
        truth = labels if is_step else int(labels[0])
        name = f"#{examined.indices[row]}"
        steps = sequence_steps(examined.sequences, row)
        played = playback_json(model, steps, name=name, label=truth)
        size += len(json.dumps(played))
        if size > _PLAYBACK_BYTES and found:
            break
        found.append(played)
    return found


def _answers(time: int) -> int:
    """Return about how many answers a playback of a long sequence has in one direction."""
    from bothways.evaluation.playback import STEP_BUDGET

    return max(1, STEP_BUDGET // time)


def _example_rows(model: TrainedModel, examined: Examination) -> list[int]:
    worst = mistakes(model, examined)[:_WRONG_EXAMPLES]
    if examined.sequences.target == "step":
        right = [row for row in range(len(examined.sequences)) if row not in worst]
        return right[:_RIGHT_EXAMPLES] + worst
    firsts = []
    for label in range(len(model.classes)):
        rows = np.flatnonzero(examined.correct & (examined.labels == label))
        firsts += rows[:1].tolist()
    return firsts[:_RIGHT_EXAMPLES] + worst
