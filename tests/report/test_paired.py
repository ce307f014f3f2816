import numpy as np
import pytest
import torch
from scipy import stats

from bothways.data.batching import IGNORED
from bothways.data.sequences import Sequences
from bothways.pages.examination import Examination
from bothways.report.paired import compare_answers, right_alone


def examination(labels, predicted, confidence=0.9, target="sequence"):
    """Return an examination of sequences with these answers, arrays (count,) or lists of them."""
    if target == "sequence":
        sequences = Sequences.from_arrays([np.ones((2, 1))] * len(labels), labels)
    else:
        plain = Sequences.from_arrays([np.ones((len(own), 1)) for own in labels])
        sequences = plain.with_step_labels(labels)
        predicted = np.concatenate(predicted)
    probabilities = np.full((len(predicted), 3), (1 - confidence) / 2)
    probabilities[np.arange(len(predicted)), predicted] = confidence
    count = np.arange(len(labels))
    return Examination("test", sequences, count, probabilities, len(labels))


def test_mcnemar_counts_the_sequences_that_only_one_run_gets_right():
    labels = np.zeros(20, int)
    first, second = labels.copy(), labels.copy()
    first[:9] = 1  # wrong in the first run only
    second[9:11] = 2  # wrong in the second run only
    first[11:13] = second[11:13] = 1  # wrong in both
    test = compare_answers(examination(labels, first), examination(labels, second))
    assert (test.first_only, test.second_only) == (2, 9)
    assert test.difference == pytest.approx(7 / 20)
    assert test.p_value == pytest.approx(stats.binomtest(2, 11, 0.5).pvalue)
    assert test.p_value == pytest.approx(2 * (1 + 11 + 55) / 2**11)


def test_equal_runs_do_not_differ():
    labels = np.arange(6) % 3
    own = examination(labels, (labels + (np.arange(6) > 3)) % 3)
    test = compare_answers(own, own)
    assert (test.difference, test.first_only, test.second_only, test.p_value) == (0, 0, 0, 1)


def test_labels_of_steps_are_compared_by_sequence():
    labels = [np.array([0, 1, 2, IGNORED])] * 8
    right = [np.array([0, 1, 2, 0])] * 8
    wrong = [np.array([0, 1, 1, 0])] * 7 + [np.array([0, 1, 2, 1])]
    one, other = (examination(labels, own, target="step") for own in (wrong, right))
    test = compare_answers(one, other)
    assert (test.first_only, test.second_only) == (0, 7)
    assert test.difference == pytest.approx(7 / 24)
    assert "signed-rank" in test.test
    assert test.p_value == pytest.approx(stats.wilcoxon([1 / 3] * 7 + [0]).pvalue)


def test_sequences_that_one_run_alone_gets_right():
    labels = np.zeros(6, int)
    runs = [
        examination(labels, np.array(own), confidence)
        for own, confidence in (
            ([0, 0, 0, 1, 1, 0], 0.9),
            ([0, 1, 1, 0, 1, 1], 0.8),
            ([0, 1, 0, 1, 1, 1], 0.7),
        )
    ]
    assert right_alone(runs, 0) == [1, 5]
    assert right_alone(runs, 1) == [3]
    assert right_alone(runs, 2) == []


def test_accuracy_by_sequence_ignores_steps_without_labels():
    labels = [np.array([0, IGNORED]), np.array([2, 1])]
    own = examination(labels, [np.array([0, 0]), np.array([2, 2])], target="step")
    assert own.accuracy_by_sequence.tolist() == [1, 0.5]
    assert own.rows.tolist() == [0, 0, 1, 1]
    assert own.answers_of(1) == slice(2, 4)
    assert torch.equal(torch.from_numpy(own.known), torch.tensor([True, False, True, True]))
