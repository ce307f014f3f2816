"""Which sequences the pages show: the worst mistakes, and right answers of different classes."""

import json
from typing import Any

import numpy as np

from bothways.evaluation.playback import steps_of_playback
from bothways.models.trained import TrainedModel
from bothways.pages.examination import OPERATIONS, Examination, operations_per_step
from bothways.pages.playback_json import playback_json, sequence_steps

_RIGHT_EXAMPLES, _WRONG_EXAMPLES = 6, 4
_PLAYBACK_BYTES = 700_000


def mistakes(examined: Examination) -> list[int]:
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


def playback_examples(model: TrainedModel, examined: Examination) -> list[dict[str, Any]]:
    """Return playbacks: right answers of different classes, and the worst mistakes."""
    found: list[dict[str, Any]] = []
    size = operations = 0
    for row in _example_rows(model, examined):
        time = int(examined.sequences.lengths[row])
        operations += steps_of_playback(time) * operations_per_step(model)
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


def _example_rows(model: TrainedModel, examined: Examination) -> list[int]:
    worst = mistakes(examined)[:_WRONG_EXAMPLES]
    if examined.sequences.target == "step":
        right = [row for row in range(len(examined.sequences)) if row not in worst]
        return right[:_RIGHT_EXAMPLES] + worst
    firsts = []
    for label in range(len(model.classes)):
        rows = np.flatnonzero(examined.correct & (examined.labels == label))
        firsts += rows[:1].tolist()
    return firsts[:_RIGHT_EXAMPLES] + worst
