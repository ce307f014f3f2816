import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from bothways.evaluation.metrics import classification_metrics, expected_calibration_error, log_loss

CLASSES = ("a", "b", "c", "never seen")


@pytest.fixture
def case():
    """Return probabilities of 200 cases and labels that they know something about."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    logits = generator.normal(size=(200, 4))
    logits[np.arange(200), labels] += 1
    logits[:, 3] -= 9
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities, labels


def test_figures_are_scikit_learns(case):
    probabilities, labels = case
    predicted = probabilities.argmax(axis=1)
    figures = classification_metrics(probabilities, labels, CLASSES)
    assert figures["accuracy"] == sklearn_metrics.accuracy_score(labels, predicted)
    assert figures["correct"] == (labels == predicted).sum()
    assert figures["count"] == 200
    assert figures["log_loss"] == pytest.approx(
        sklearn_metrics.log_loss(labels, probabilities, labels=range(4))
    )
    assert (
        figures["confusion_matrix"]
        == sklearn_metrics.confusion_matrix(labels, predicted, labels=range(4)).tolist()
    )
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(4), zero_division=0
    )
    for n, name in enumerate(CLASSES):
        assert figures["per_class"][name] == pytest.approx(
            {"precision": precision[n], "recall": recall[n], "f1": f1[n], "count": support[n]}
        )
    assert figures["macro_f1"] == pytest.approx(f1.mean())


def test_calibration_error_of_known_cases():
    """Ten sure answers of which seven are right: confidence 1.0, accuracy 0.7."""
    sure = np.tile([1.0, 0.0], (10, 1))
    labels = np.array([0] * 7 + [1] * 3)
    assert expected_calibration_error(sure, labels) == pytest.approx(0.3)
    assert expected_calibration_error(sure, np.zeros(10, int)) == 0
    two_bins = np.array([[0.9, 0.1], [0.6, 0.4]])
    assert expected_calibration_error(two_bins, np.array([1, 0])) == pytest.approx((0.9 + 0.4) / 2)


def test_log_loss_of_an_impossible_class_is_finite():
    assert 30 < log_loss(np.array([[1.0, 0.0]]), np.array([1])) < 50


def test_first_of_equals_is_predicted():
    figures = classification_metrics(np.array([[0.5, 0.5]]), np.array([0]), ("a", "b"))
    assert figures["accuracy"] == 1
