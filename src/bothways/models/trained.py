"""Trained models: from sequences to class names and probabilities."""

from typing import Any

from torch import Tensor

from bothways.evaluation.evaluate import Classifier, compute_logits
from bothways.models.inputs import checked_sequences
from bothways.models.manifest import Manifest
from bothways.models.trained_model import Floats, Names, TrainedModel


class TrainedClassifier(TrainedModel):
    """A model that classifies sequences.

    Examples
    --------
    >>> import numpy as np
    >>> from bothways import load
    >>> model = load("runs/gestures")
    >>> model.predict([np.zeros((12, 3)), np.ones((9, 3))])
    array(['circle', 'wave'], dtype='<U6')
    >>> model.predict_proba([np.zeros((12, 3)), np.ones((9, 3))]).shape
    (2, 2)
    """

    def predict_logits(self, sequences: Any) -> Tensor:
        """Return logits (count, num_classes)."""
        return self._logits(sequences)

    def predict_proba(self, sequences: Any) -> Floats:
        """Return probabilities (count, num_classes); rows sum to 1."""
        return _probabilities(self._logits(sequences))

    def predict(self, sequences: Any) -> Names:
        """Return the most probable class of each sequence, (count,)."""
        return self._names(self._logits(sequences))

    def _logits(self, data: Any) -> Tensor:
        logits = self._single_logits(data)
        if logits is None:
            sequences = checked_sequences(data, self.manifest)  # warns about the caller's caller
            logits = compute_logits(self._classifier, sequences)
        return logits


class TrainedLabeler(TrainedModel):
    """A model that classifies each time step.

    Examples
    --------
    >>> import numpy as np
    >>> from bothways import load
    >>> model = load("runs/activities")
    >>> model.predict([np.zeros((3, 3))])
    [array(['resting', 'resting', 'resting'], dtype='<U7')]
    """

    def predict_logits(self, sequences: Any) -> list[Tensor]:
        """Return logits: one tensor (time_i, num_classes) for each sequence."""
        return self._logits(sequences)

    def predict_proba(self, sequences: Any) -> list[Floats]:
        """Return probabilities: one array (time_i, num_classes) per sequence; rows sum to 1."""
        return [_probabilities(logits) for logits in self._logits(sequences)]

    def predict(self, sequences: Any) -> list[Names]:
        """Return the most probable class of each time step: one array (time_i,) per sequence."""
        return [self._names(logits) for logits in self._logits(sequences)]

    def _logits(self, data: Any) -> list[Tensor]:
        logits = self._single_logits(data)
        if logits is not None:
            return [logits]
        sequences = checked_sequences(data, self.manifest)  # as above
        logits = compute_logits(self._classifier, sequences)
        return list(logits.split(sequences.lengths.tolist()))


def _probabilities(logits: Tensor) -> Floats:
    return logits.double().softmax(dim=1).numpy()


def trained_model(classifier: Classifier, manifest: Manifest) -> TrainedModel:
    """Return a `TrainedClassifier` or a `TrainedLabeler`, depending on the target."""
    kind = TrainedLabeler if manifest.model.target == "step" else TrainedClassifier
    return kind(classifier, manifest)
