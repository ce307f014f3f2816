"""How good predictions are: pure functions of probabilities and labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

ECE_BINS = 15


def classification_metrics(
    probabilities: Array, labels: Array, classes: Sequence[str]
) -> dict[str, Any]:
    """Return every figure that bothways reports about a set of predictions; see `Tally`."""
    tally = Tally(classes)
    tally.add(probabilities, labels)
    return tally.figures()


class Tally:
    """Adds up predictions as they come, for figures about all of them.

    Parameters
    ----------
    classes : names of the labels
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._matrix = np.zeros((len(classes), len(classes)), np.int64)
        self._loss = 0.0
        self._gaps = np.zeros(ECE_BINS)

    def add(self, probabilities: Array, labels: Array) -> None:
        """Take predictions into account.

        Parameters
        ----------
        probabilities : array (count, num_classes)
            Rows add up to 1. The prediction is the largest; of equals, the first.
        labels : integer array (count,)
        """
        self._matrix += confusion_matrix(labels, probabilities.argmax(axis=1), len(self._classes))
        self._loss += len(labels) * log_loss(probabilities, labels)
        self._gaps += _calibration_gaps(probabilities, labels, ECE_BINS)

    def figures(self) -> dict[str, Any]:
        """Return what has been found.

        Returns
        -------
        dict
            `accuracy` (0..1), `balanced_accuracy` (0..1, the mean recall of the classes that
            occur), `count`, `correct`, `log_loss` (nats), `expected_calibration_error` (0..1),
            `macro_f1`, `per_class` (name: precision, recall, f1, count), `confusion_matrix` (rows:
            true class, columns: predicted). A precision or recall of no cases is 0.
        """
        matrix = self._matrix
        hits, count = np.diag(matrix), int(matrix.sum())
        precision = _ratio(hits, matrix.sum(axis=0))
        recall = _ratio(hits, matrix.sum(axis=1))
        f1 = _ratio(2 * precision * recall, precision + recall)
        correct = int(hits.sum())
        return {
            "accuracy": correct / count,
            "balanced_accuracy": float(recall[matrix.sum(axis=1) > 0].mean()),
            "count": count,
            "correct": correct,
            "log_loss": self._loss / count,
            "expected_calibration_error": float(np.abs(self._gaps).sum() / count),
            "macro_f1": float(f1.mean()),
            "per_class": {
                name: {
                    "precision": float(precision[n]),
                    "recall": float(recall[n]),
                    "f1": float(f1[n]),
                    "count": int(matrix[n].sum()),
                }
                for n, name in enumerate(self._classes)
            },
            "confusion_matrix": matrix.tolist(),
        }


def confusion_matrix(labels: Array, predicted: Array, num_classes: int) -> Array:
    """Return counts (num_classes, num_classes): rows are true classes, columns predicted ones."""
    flat = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def log_loss(probabilities: Array, labels: Array) -> float:
    """Return the mean negative log probability of the true class, in nats.

    A probability of 0 counts as the machine epsilon of its type, as in scikit-learn.
    """
    true = probabilities[np.arange(len(labels)), labels]
    return float(
        -np.log(np.maximum(true, np.finfo(probabilities.dtype).eps)).mean() + 0.0
    )  # not -0


def expected_calibration_error(probabilities: Array, labels: Array, bins: int = ECE_BINS) -> float:
    """Return how far confidence and accuracy differ, on average over `bins` equal bins.

    References
    ----------
    Guo et al. 2017, "On calibration of modern neural networks", equation 3.
    """
    gaps = _calibration_gaps(probabilities, labels, bins)
    return float(np.abs(gaps).sum() / len(labels))


def _calibration_gaps(probabilities: Array, labels: Array, bins: int) -> Array:
    """Return, for each bin of confidence, hits less the sum of confidences."""
    confidence = probabilities.max(axis=1)
    hit = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return np.bincount(index, weights=hit - confidence.astype(np.float64), minlength=bins)


def _ratio(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
