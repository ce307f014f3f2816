"""Logits of a batch whose bits do not depend on the other sequences of the batch.

A matrix product may add in another order if the batch has another number of rows. Here, sequences
run together only if every operator treats its rows separately:

- The compiled engine does, except if a batch has fewer rows than threads; copies of the first row
  fill such batches.
- The preprocessing treats all rows separately; the mean and the deviation of a sequence are sums
  in the order of its steps, whatever the padding.
- The linear layer is a sum for each row, not a matrix product.
- The mean over the networks of an ensemble is computed for each row.
- Readout `mean` adds over all steps, padding included: only sequences of equal lengths run
  together.
- Readout `attention`, the convolutions of a stem and torch's recurrent operators use matrix
  products: each sequence runs alone, exactly as `predict_proba` runs it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bothways.data.batching import batches_by_length
from bothways.evaluation.evaluate import BATCH_SIZE, batch_steps
from bothways.nn.classifier import TorchClassifier
from bothways.nn.ensemble import average_logits
from bothways.nn.rowwise import rowwise_linear

Floats = np.ndarray[Any, np.dtype[np.float32]]
Probabilities = np.ndarray[Any, np.dtype[np.float64]]
Together = Literal["any", "equal lengths", "none"]

_CALL_MULTIPLY_ADDS = 1 << 25  # for each batch of a network, as long as a short sequence takes


class RowwiseModel:
    """A classifier whose answer to a sequence has the same bits in every batch.

    Parameters
    ----------
    classifier : SequenceClassifier or Ensemble
        In eval mode, on the CPU; not changed.

    Attributes
    ----------
    together : any, equal lengths or none
        Which sequences run in one batch.
    """

    def __init__(self, classifier: TorchClassifier) -> None:
        self._classifier = classifier
        self.together = _together(classifier)
        self._num_weights = sum(weights.numel() for weights in classifier.parameters())

    def probabilities(self, arrays: Sequence[Floats]) -> list[Probabilities]:
        """Return probabilities: (num_classes,), or (time_i, num_classes) if steps have labels.

        They are those of `TrainedModel.predict_proba`, within its guarantee.

        Parameters
        ----------
        arrays : list of float32 arrays (time_i, input_size)
        """
        lengths = list(map(len, arrays))
        of_steps = self._classifier.config.target == "step"
        found: list[Any] = [None] * len(arrays)
        with torch.inference_mode():
            for batch in self._batches(lengths):
                logits = self._logits([arrays[n] for n in batch])
                probabilities = logits.double().softmax(dim=-1).numpy()
                for n, row in zip(batch, probabilities, strict=False):  # copies follow
                    found[n] = row[: lengths[n]] if of_steps else row
        return found

    def multiply_adds(self, lengths: Sequence[int]) -> int:
        """Return how long sequences of these lengths take, in multiply-adds, roughly."""
        calls = {"any": 1, "none": len(lengths), "equal lengths": len(set(lengths))}[self.together]
        calls *= len(self._classifier.networks)
        return sum(lengths) * self._num_weights + calls * _CALL_MULTIPLY_ADDS

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Yield the indices of sequences that run together."""
        rows, steps = torch.tensor(lengths), batch_steps(self._classifier.config)
        if self.together == "none":
            groups = torch.arange(len(rows)).split(1)
        elif self.together == "equal lengths":
            groups = tuple((rows == length).nonzero()[:, 0] for length in rows.unique())
        else:
            groups = (torch.arange(len(rows)),)
        for group in groups:
            for batch in batches_by_length(rows[group], BATCH_SIZE, steps):
                yield group[batch].tolist()

    def _logits(self, arrays: list[Floats]) -> Tensor:
        classifier = self._classifier
        if self.together == "none":
            logits: Tensor = classifier(*_padded(arrays))
            return logits
        missing = max(2, torch.get_num_threads()) - len(arrays)
        inputs, lengths = _padded(arrays + [arrays[0]] * missing)
        found = [
            rowwise_linear(own.features(inputs, lengths), own.linear.weight, own.linear.bias)
            for own in classifier.networks
        ]
        return classifier.calibrated(average_logits(found))


def _padded(arrays: Sequence[Floats]) -> tuple[Tensor, Tensor]:
    """Return inputs (batch, time, input_size), padded with zeros, and lengths (batch,)."""
    lengths = list(map(len, arrays))
    inputs = np.zeros((len(arrays), max(lengths), arrays[0].shape[1]), np.float32)
    for row, array in zip(inputs, arrays, strict=True):
        row[: len(array)] = array
    return torch.from_numpy(inputs), torch.tensor(lengths)


def _together(classifier: TorchClassifier) -> Together:
    config = classifier.config
    compiled = classifier.networks[0].layers.backend_choice.name == "compiled"
    if not compiled or config.stem_channels is not None or "attention" in config.readouts:
        return "none"
    return "equal lengths" if "mean" in config.readouts else "any"
