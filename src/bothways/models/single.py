"""Answers to one sequence at a time.

For a short sequence, the checks and copies of a batch take several times as long as the arithmetic.
Here, what depends only on the model is done once.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.data.record import Array
from bothways.data.validation import lossy_features
from bothways.kernels.lengths import Lengths
from bothways.models.manifest import Manifest
from bothways.nn.classifier import SequenceClassifier, TorchClassifier
from bothways.nn.ensemble import average_logits

_LARGEST = float(np.finfo(np.float32).max)


class SingleAnswers:
    """Computes the logits of one sequence after the other.

    Parameters
    ----------
    classifier : TorchClassifier
        On the CPU, in eval mode. Its weights must not change any more: they are packed once.
        Weights in shared memory are left to the general path: another process may change them.
    manifest : Manifest
    """

    def __init__(self, classifier: TorchClassifier, manifest: Manifest) -> None:
        config, known = manifest.model, manifest.preprocessing.training_range
        self._classifier = classifier
        self._any_weight = next(classifier.parameters())
        self._input_size = config.input_size
        self._low, self._high = -_LARGEST, _LARGEST
        if known is not None:  # beyond this range, a ScaleWarning is issued
            span = known[1] - known[0]
            self._low, self._high = known[0] - span, known[1] + span
        self._networks = [_SingleNetwork(network) for network in classifier.networks]

    @staticmethod
    def are_possible(classifier: TorchClassifier, manifest: Manifest) -> bool:
        """Return whether the model reads plain numbers, and each layer the whole sequence."""
        config, reading = manifest.model, manifest.preprocessing.reading
        return (
            not config.categorical_features
            and config.layer_lookahead is None
            and not reading.offsets
            and reading.axes != "nct"
            and next(classifier.parameters()).device.type == "cpu"
        )

    @torch.no_grad()
    def logits(self, data: Any) -> Tensor | None:
        """Return logits (1, num_classes) or, with a label per step, (time, num_classes).

        None if `data` are more than one sequence, or anything is unusual about them, such as a
        missing value: then, the general path gives the answer, a warning, or the error.
        """
        steps = _only_array(data)
        if (
            steps is None
            or self._any_weight.is_shared()
            or steps.ndim != 2
            or steps.shape[1] != self._input_size
            or not len(steps)
            or steps.dtype not in (np.float32, np.float64)
            or not (steps.min() >= self._low and steps.max() <= self._high)  # NaN is neither
            or (steps.dtype == np.float64 and lossy_features(steps))
        ):
            return None
        inputs = torch.from_numpy(np.array(steps, dtype=np.float32, order="C"))[None]
        lengths = Lengths(torch.tensor([len(steps)]), len(steps), True)
        logits = average_logits([network(inputs, lengths) for network in self._networks])
        return self._classifier.calibrated(logits).float().flatten(0, -2)


class _SingleNetwork:
    """A network whose layers have been prepared."""

    def __init__(self, network: SequenceClassifier) -> None:
        self._network = network
        layers = network.layers
        self._layers = layers.prepared(alone=True)
        self._directions = layers.num_directions
        state = torch.zeros(layers.num_layers * self._directions, 1, layers.hidden_size)
        self._initial = tuple(state for _ in layers.cell.states)

    def __call__(self, inputs: Tensor, lengths: Lengths) -> Tensor:
        network = self._network
        if network.encoder is not None:
            inputs = network.encoder(inputs, lengths)
        if network.stem is not None:
            inputs, lengths = network.stem(inputs, lengths)
        outputs, states = self._layers(inputs.transpose(0, 1), None, self._initial)
        top = states[0][-self._directions :]
        features = network.readout(outputs.transpose(0, 1), top, lengths)
        logits: Tensor = network.linear(features)  # of a single network, before the temperature
        return logits


def _only_array(data: Any) -> Array | None:
    """Return the only array (time, features) of a list, or of an array (1, time, features)."""
    if isinstance(data, np.ndarray | list | tuple) and len(data) == 1:
        return data[0] if type(data[0]) is np.ndarray else None  # a masked array is unusual
    return None
