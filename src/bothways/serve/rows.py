"""Logits of a batch whose bits do not depend on the other sequences of the batch.

A matrix product may add in another order if the batch has another number of rows. Here, sequences
run together only if every operator treats its rows separately:

- The compiled engine does, except if a batch has fewer rows than threads; copies of the first row
  fill such batches.
- The linear layer is a sum for each row, not a matrix product.
- Readout `mean` adds over all steps, padding included: only sequences of equal lengths run
  together.
- Readout `attention`, the convolutions of a stem and torch's recurrent operators use matrix
  products: each sequence runs alone, exactly as `predict_proba` runs it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from bothways.data.batching import batches_by_length
from bothways.data.sequences import Sequences
from bothways.evaluation.evaluate import BATCH_SIZE, BATCH_STEPS
from bothways.nn.classifier import SequenceClassifier

Floats = np.ndarray[Any, np.dtype[np.float32]]
Probabilities = np.ndarray[Any, np.dtype[np.float64]]
Together = Literal["any", "equal lengths", "none"]

_CALL_MULTIPLY_ADDS = 1 << 25  # for each batch, as long as a short sequence takes
_PRODUCTS = 1 << 20  # of the linear layer that are in memory at once


class RowwiseModel:
    """A classifier whose answer to a sequence has the same bits in every batch.

    Parameters
    ----------
    classifier : SequenceClassifier
        In eval mode, on the CPU; not changed.

    Attributes
    ----------
    together : any, equal lengths or none
        Which sequences run in one batch.
    """

    def __init__(self, classifier: SequenceClassifier) -> None:
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
        sequences = Sequences.from_arrays(arrays)
        found: list[Any] = [None] * len(arrays)
        with torch.inference_mode():
            for indices in self._batches(sequences.lengths):
                logits = self._logits(sequences, indices)
                probabilities = logits.double().softmax(dim=-1).numpy()
                for n, row in zip(indices.tolist(), probabilities, strict=False):  # copies follow
                    of_steps = self._classifier.config.target == "step"
                    found[n] = row[: len(arrays[n])] if of_steps else row
        return found

    def multiply_adds(self, lengths: Sequence[int]) -> int:
        """Return how long sequences of these lengths take, in multiply-adds, roughly."""
        calls = {"any": 1, "none": len(lengths), "equal lengths": len(set(lengths))}[self.together]
        return sum(lengths) * self._num_weights + calls * _CALL_MULTIPLY_ADDS

    def _batches(self, lengths: Tensor) -> Iterator[Tensor]:
        if self.together == "any":
            yield from batches_by_length(lengths, BATCH_SIZE, BATCH_STEPS)
        elif self.together == "none":
            yield from torch.arange(len(lengths)).split(1)
        else:
            for length in lengths.unique().tolist():
                equal = (lengths == length).nonzero()[:, 0]
                yield from equal.split(max(1, min(BATCH_SIZE, BATCH_STEPS // length)))

    def _logits(self, sequences: Sequences, indices: Tensor) -> Tensor:
        classifier = self._classifier
        if self.together == "none":
            batch = sequences.batch(indices)
            logits: Tensor = classifier(batch.inputs, batch.lengths)
            return logits
        missing = max(2, torch.get_num_threads()) - len(indices)
        if missing > 0:
            indices = torch.cat([indices, indices[:1].expand(missing)])
        batch = sequences.batch(indices)
        logits = _linear(classifier.linear, classifier.features(batch.inputs, batch.lengths))
        return logits / classifier.temperature if classifier.config.calibrate else logits


def _together(classifier: SequenceClassifier) -> Together:
    config = classifier.config
    compiled = classifier.layers.backend_choice.name == "compiled"
    if not compiled or config.stem_channels is not None or config.readout == "attention":
        return "none"
    return "equal lengths" if config.readout == "mean" else "any"


def _linear(layer: nn.Linear, features: Tensor) -> Tensor:
    """Return the outputs of a linear layer (…, classes), as one sum for each of them."""
    rows = features.reshape(-1, features.shape[-1])
    some = max(1, _PRODUCTS // layer.weight.numel())
    sums = [(part[:, None] * layer.weight).sum(dim=-1) for part in rows.split(some)]
    return (torch.cat(sums) + layer.bias).view(*features.shape[:-1], -1)
