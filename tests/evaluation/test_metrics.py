from dataclasses import asdict, replace

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from bothways.evaluation.metrics import (
    Metrics,
    classification_metrics,
    expected_calibration_error,
    log_loss,
)
from bothways.evaluation.segments import SegmentMetrics

CLASSES = ("a", "b", "c", "never seen")


@pytest.fixture
def case():
    """Return probabilities of 200 cases and labels that agree with them in part."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    logits = generator.normal(size=(200, 4))
    logits[np.arange(200), labels] += 1
    logits[:, 3] -= 9
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities, labels


def test_metrics_match_scikit_learn(case):
    probabilities, labels = case
    predicted = probabilities.argmax(axis=1)
    metrics = classification_metrics(probabilities, labels, CLASSES)
    assert metrics.accuracy == sklearn_metrics.accuracy_score(labels, predicted)
    assert metrics.correct == (labels == predicted).sum()
    assert metrics.count == 200
    assert metrics.log_loss == pytest.approx(
        sklearn_metrics.log_loss(labels, probabilities, labels=range(4))
    )
    assert (
        metrics.confusion_matrix
        == sklearn_metrics.confusion_matrix(labels, predicted, labels=range(4)).tolist()
    )
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(4), zero_division=0
    )
    for n, name in enumerate(CLASSES):
        assert asdict(metrics.per_class[name]) == pytest.approx(
            {"precision": precision[n], "recall": recall[n], "f1": f1[n], "count": support[n]}
        )
    assert metrics.macro_f1 == pytest.approx(f1.mean())


def test_calibration_error_of_known_cases():
    """Ten certain predictions, seven of them correct: confidence 1.0, accuracy 0.7."""
    sure = np.tile([1.0, 0.0], (10, 1))
    labels = np.array([0] * 7 + [1] * 3)
    assert expected_calibration_error(sure, labels) == pytest.approx(0.3)
    assert expected_calibration_error(sure, np.zeros(10, int)) == 0
    two_bins = np.array([[0.9, 0.1], [0.6, 0.4]])
    assert expected_calibration_error(two_bins, np.array([1, 0])) == pytest.approx((0.9 + 0.4) / 2)


def test_log_loss_of_an_impossible_class_is_finite():
    assert 30 < log_loss(np.array([[1.0, 0.0]]), np.array([1])) < 50


def test_the_first_of_equally_probable_classes_is_predicted():
    metrics = classification_metrics(np.array([[0.5, 0.5]]), np.array([0]), ("a", "b"))
    assert metrics.accuracy == 1


def test_json_round_trip(case):
    metrics = classification_metrics(*case, CLASSES)
    assert Metrics.from_json(metrics.to_json()) == metrics
    assert "segments" not in metrics.to_json()
    segments = SegmentMetrics(0.5, 0.4, 0.3, 0.2)
    steps = replace(metrics, segments=segments, recordings=metrics)
    assert steps.to_json()["segment_f1_50"] == 0.2
    assert Metrics.from_json(steps.to_json()) == steps


@pytest.mark.parametrize("values", [{}, {"accuracy": 1}, {"per_class": []}])
def test_damaged_json_is_a_value_error(case, values):
    whole = classification_metrics(*case, CLASSES).to_json()
    with pytest.raises(ValueError, match="validation error"):
        Metrics.from_json(values)
    with pytest.raises(ValueError, match="validation error"):
        Metrics.from_json({**whole, "accuracy": "high"})
