"""Metrics of predictions: pure functions of probabilities and labels."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
from pydantic import TypeAdapter

from bothways.evaluation.segments import SegmentMetrics

Array = np.ndarray[Any, np.dtype[Any]]

ECE_BINS = 15


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class; a precision or recall without cases is 0.

    Parameters
    ----------
    precision, recall, f1 : float, from 0 to 1
    count : int
        True labels of this class.
    """

    precision: float
    recall: float
    f1: float
    count: int


@dataclass(frozen=True)
class Metrics:
    """Metrics of labeled sequences, or of labeled time steps.

    Parameters
    ----------
    accuracy, balanced_accuracy : float, from 0 to 1
        The latter is the mean recall of the classes that occur.
    count, correct : int
    log_loss : float
        In nats.
    expected_calibration_error : float, from 0 to 1
        See `expected_calibration_error`.
    macro_f1 : float
        Mean F1 of all classes.
    per_class : dict of ClassMetrics by class name
    confusion_matrix : list of lists of int
        Rows are true classes, columns are predicted classes.
    segments : SegmentMetrics, optional
        If time steps are labeled.
    recordings : Metrics, optional
        If sequences are windows: the metrics of whole recordings, whose probabilities are the mean
        over their windows.

    Examples
    --------
    >>> from bothways import resume
    >>> metrics = resume("runs/gestures").metrics.test
    >>> metrics.count, metrics.per_class["wave"].count
    (8, 4)
    """

    accuracy: float
    balanced_accuracy: float
    count: int
    correct: int
    log_loss: float
    expected_calibration_error: float
    macro_f1: float
    per_class: dict[str, ClassMetrics]
    confusion_matrix: list[list[int]]
    segments: SegmentMetrics | None = None
    recordings: "Metrics | None" = None

    def to_json(self) -> dict[str, Any]:
        """Return the metrics as they are in `metrics.json`, those of segments beside the others."""
        values = asdict(self)
        segments, recordings = values.pop("segments"), values.pop("recordings")
        values |= segments or {}
        if recordings is not None and self.recordings is not None:
            values["recordings"] = self.recordings.to_json()
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the metrics that `to_json` wrote.

        Raises
        ------
        ValueError
            If a value is missing or has the wrong type.
        """
        names = {field.name for field in fields(SegmentMetrics)}
        own = {name: value for name, value in values.items() if name not in names}
        if names & values.keys():
            own["segments"] = {name: value for name, value in values.items() if name in names}
        if own.get("recordings") is not None:
            own["recordings"] = cls.from_json(own["recordings"])
        return TypeAdapter(cls).validate_python(own)


class Tally:
    """Accumulates predictions and computes the metrics of all of them.

    Parameters
    ----------
    classes : sequence of str
        The names of the labels.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._matrix = np.zeros((len(classes), len(classes)), np.int64)
        self._loss = 0.0
        self._gaps = np.zeros(ECE_BINS)

    def add(self, probabilities: Array, labels: Array) -> None:
        """Add predictions.

        Parameters
        ----------
        probabilities : array (count, num_classes)
            Rows sum to 1. The predicted class is the most probable one; of equals, the first.
        labels : integer array (count,)
        """
        self._matrix += confusion_matrix(labels, probabilities.argmax(axis=1), len(self._classes))
        self._loss += len(labels) * log_loss(probabilities, labels)
        self._gaps += _calibration_gaps(probabilities, labels, ECE_BINS)

    def metrics(self) -> Metrics:
        """Return the metrics of all predictions so far."""
        matrix = self._matrix
        hits, count = np.diag(matrix), int(matrix.sum())
        precision = _ratio(hits, matrix.sum(axis=0))
        recall = _ratio(hits, matrix.sum(axis=1))
        f1 = _ratio(2 * precision * recall, precision + recall)
        correct = int(hits.sum())
        return Metrics(
            accuracy=correct / count,
            balanced_accuracy=float(recall[matrix.sum(axis=1) > 0].mean()),
            count=count,
            correct=correct,
            log_loss=self._loss / count,
            expected_calibration_error=float(np.abs(self._gaps).sum() / count),
            macro_f1=float(f1.mean()),
            per_class={
                name: ClassMetrics(
                    float(precision[n]), float(recall[n]), float(f1[n]), int(matrix[n].sum())
                )
                for n, name in enumerate(self._classes)
            },
            confusion_matrix=matrix.tolist(),
        )


def classification_metrics(probabilities: Array, labels: Array, classes: Sequence[str]) -> Metrics:
    """Return the metrics of predictions; the parameters are those of `Tally`."""
    tally = Tally(classes)
    tally.add(probabilities, labels)
    return tally.metrics()


def confusion_matrix(labels: Array, predicted: Array, num_classes: int) -> Array:
    """Return counts (num_classes, num_classes): rows are true classes, columns predicted ones."""
    flat = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def log_loss(probabilities: Array, labels: Array) -> float:
    """Return the mean negative log probability of the true class, in nats.

    Probabilities are clipped at the machine epsilon of their type, as in scikit-learn.
    """
    true = probabilities[np.arange(len(labels)), labels]
    clipped = np.maximum(true, np.finfo(probabilities.dtype).eps)
    return float(-np.log(clipped).mean() + 0.0)  # 0, not -0


def expected_calibration_error(probabilities: Array, labels: Array, bins: int = ECE_BINS) -> float:
    """Return the mean difference between confidence and accuracy, over bins of equal width.

    References
    ----------
    Guo et al. 2017, "On calibration of modern neural networks", equation 3.
    """
    gaps = _calibration_gaps(probabilities, labels, bins)
    return float(np.abs(gaps).sum() / len(labels))


def _calibration_gaps(probabilities: Array, labels: Array, bins: int) -> Array:
    """Return the number of correct predictions minus the sum of confidences, for each bin."""
    confidence = probabilities.max(axis=1)
    hit = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return np.bincount(index, weights=hit - confidence.astype(np.float64), minlength=bins)


def _ratio(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
