"""Which sequences the pages show: the worst mistakes, and right answers of different classes."""

import json
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Literal

import numpy as np

from bothways.evaluation.playback import steps_of_playback
from bothways.models.trained_model import TrainedModel
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
    wrong = np.flatnonzero(examined.known & ~examined.correct)
    order = np.argsort(-examined.confidence[wrong], kind="stable")
    return [int(row) for row in wrong[order]]


def playback_examples(model: TrainedModel, examined: Examination) -> list[dict[str, Any]]:
    """Return playbacks of some sequences, alternately of right answers and of the worst mistakes.

    The right answers have different classes. If time steps have labels, the first sequences take
    their place. Sequences whose playback would take too long are left out.
    """
    right: list[dict[str, Any]] = []
    wrong: list[dict[str, Any]] = []
    operations, size = operations_per_step(model), 0
    budget = OPERATIONS / 4
    for row, chosen in _candidates(model, examined):
        work = steps_of_playback(int(examined.sequences.lengths[row])) * operations
        answers = examined.answers_of(row)
        if work > budget or not np.isfinite(examined.probabilities[answers]).all():
            continue
        labels = examined.labels[answers]
        truth = labels if examined.sequences.target == "step" else int(labels[0])
        steps = sequence_steps(examined.sequences, row)
        played = playback_json(model, steps, name=f"#{examined.indices[row]}", label=truth)
        size += len(json.dumps(played))
        if size > _PLAYBACK_BYTES and (right or wrong):
            break
        budget -= work
        (right if chosen == "right" else wrong).append(played)
    return right + wrong


def _candidates(
    model: TrainedModel, examined: Examination
) -> Iterator[tuple[int, Literal["right", "wrong"]]]:
    """Yield positions of sequences, alternately right and wrong ones."""
    worst = mistakes(examined)[:_WRONG_EXAMPLES]
    if examined.sequences.target == "step":
        others = [row for row in range(len(examined.sequences)) if row not in worst]
    else:
        others = []
        for label in range(len(model.classes)):
            found = np.flatnonzero(examined.known & examined.correct & (examined.labels == label))
            others += found[:1].tolist()
    for right, wrong in zip_longest(others[:_RIGHT_EXAMPLES], worst):
        if right is not None:
            yield right, "right"
        if wrong is not None:
            yield wrong, "wrong"
