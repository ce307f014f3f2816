"""Comparison of exported classifiers with their model on random ragged batches."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bothways.errors import ExportError
from bothways.export.check_data import random_sequences
from bothways.kernels.lengths import valid_steps
from bothways.models.trained_model import TrainedModel
from bothways.nn.classifier import TorchClassifier

TOLERANCE = 1e-4
"""Greatest difference of logits, relative to the largest logit of the batch, or 1 if that is less.

Both programs add the same float32 products in another order, and their tanh and sigmoid differ in
the last digits. Differences of about 1e-6 are usual; they grow with the number of steps, layers and
hidden units. A fault, such as two gates in the wrong order, changes logits by more than 1e-2. A
change of logits by 1e-4 changes a probability by less than 1e-4.
"""

_MAX_STEPS = 48
_RANDOM_BATCHES = 6


@dataclass(frozen=True)
class Comparison:
    """How an exported classifier differs from its model.

    Parameters
    ----------
    difference : float
        The greatest difference of a logit.
    relative_difference : float
        The greatest difference, relative to the scale of its batch; see `TOLERANCE`.
    batches : int
    """

    difference: float
    relative_difference: float
    batches: int


def reference_of(model: TrainedModel) -> TorchClassifier:
    """Return what an export must agree with: a copy of the network, on the CPU and in float32."""
    classifier = copy.deepcopy(model.classifier).cpu().eval()
    for network in classifier.networks:
        network.layers.precision = "float32"
    return classifier


def compare_on_random_batches(
    model: TrainedModel, exported: Callable[[Tensor, Tensor], Tensor], seed: int
) -> Comparison:
    """Compare an exported classifier with its model; the padding is NaN.

    Parameters
    ----------
    model : TrainedModel
    exported : callable
        Returns logits for inputs (batch, time, input_size) and lengths (batch,).
    seed : int

    Raises
    ------
    ExportError
        If a logit of the model or of the export is not finite.
    """
    classifier = reference_of(model)
    greatest = greatest_relative = 0.0
    count = 0
    for inputs, lengths in random_batches(model, np.random.default_rng(seed)):
        with torch.inference_mode():
            expected = classifier(inputs, lengths)
        found = exported(inputs, lengths)
        if model.manifest.model.target == "step":
            valid = valid_steps(lengths, inputs.shape[1]).T
            expected, found = expected[valid], found[valid]
        for logits, whose in ((expected, "the model"), (found, "the exported file")):
            check_finite(logits, whose)
        difference = float((found - expected).abs().max())
        greatest = max(greatest, difference)
        scale = max(1.0, float(expected.abs().max()))
        greatest_relative = max(greatest_relative, difference / scale)
        count += 1
    return Comparison(greatest, greatest_relative, count)


def check_finite(logits: Tensor, whose: str) -> None:
    """Raise ExportError if a logit on random sequences is not finite."""
    if not bool(logits.isfinite().all()):
        raise ExportError(
            f"the logits of {whose} on random sequences are not all finite; expected numbers. "
            "Check the weights, and the range of the training data."
        )


def random_batches(
    model: TrainedModel, generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs, with NaN in the padding, and lengths.

    There are batches of one row, rows of one step, batches with more padding than the longest row
    needs, and other sizes at random.
    """
    longest = min(model.manifest.model.sequence_length or _MAX_STEPS, _MAX_STEPS)
    sizes = [([1], 0), ([longest], 0), ([1, 1, 1], 0), ([1, longest, 1], 2)]
    for _ in range(_RANDOM_BATCHES):
        drawn = generator.integers(1, longest + 1, generator.integers(2, 34))
        sizes.append((drawn.tolist(), int(generator.integers(0, 4))))
    for lengths, more in sizes:
        time = max(lengths) + more
        inputs = np.full((len(lengths), time, model.manifest.model.input_size), np.nan, np.float32)
        for row, values in zip(inputs, random_sequences(model, lengths, generator), strict=True):
            row[: len(values)] = values
        yield torch.from_numpy(inputs), torch.tensor(lengths)
