"""Batches: their content, their order in training and evaluation, and the weights of classes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

IGNORED = -1
"""The label of a step that is ignored in losses and metrics."""

POOL_BATCHES = 32
"""Number of batches whose sequences are sorted by length together."""

LENGTH_NOISE = 0.1
"""Largest relative error of the lengths by which sequences are sorted."""


@dataclass(frozen=True)
class SequenceBatch:
    """A padded batch.

    Parameters
    ----------
    inputs : Tensor (batch, time, input_size)
        Zero at and past the length of a row.
    lengths : int64 Tensor (batch,), on the CPU

    Examples
    --------
    >>> import numpy as np
    >>> from bothways import Sequences
    >>> sequences = Sequences.from_arrays([np.ones((3, 2)), np.ones((5, 2))])
    >>> batch = sequences.batch(torch.tensor([0, 1]))
    >>> batch.inputs.shape, batch.lengths
    (torch.Size([2, 5, 2]), tensor([3, 5]))
    """

    inputs: Tensor
    lengths: Tensor

    def to(self, device: torch.device) -> Self:
        """Return the batch with all tensors but the lengths, which stay on the CPU, on `device`.

        They must be on one device.
        """
        if self.inputs.device == device:
            return self
        moved = {
            name: tensor.to(device, non_blocking=True)
            for name, tensor in vars(self).items()
            if name != "lengths" and tensor is not None
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class LabeledBatch(SequenceBatch):
    """A padded batch with labels.

    Parameters
    ----------
    inputs, lengths : Tensor
        See `SequenceBatch`.
    labels : int64 Tensor (batch,) or, with a label per step, (batch, time)
        `IGNORED` in padding and at ignored steps.
    weights : float32 Tensor (batch,), optional
        Weights of the rows in the loss; default: all equal.
    """

    labels: Tensor
    weights: Tensor | None = None

    def padded_to(self, time: int) -> "LabeledBatch":
        """Return the batch with padding up to `time` steps."""
        missing = time - self.inputs.shape[1]
        labels = self.labels
        if labels.dim() > 1:
            labels = pad(labels, (0, missing), value=IGNORED)
        return replace(self, inputs=pad(self.inputs, (0, 0, 0, missing)), labels=labels)

    def without_labels(self) -> "LabeledBatch":
        """Return the batch with all labels ignored: its loss and its gradients are 0."""
        return replace(self, labels=torch.full_like(self.labels, IGNORED))


def shuffled_batches(
    lengths: Tensor,
    batch_size: int,
    generator: torch.Generator,
    sampling_weights: Tensor | None = None,
) -> list[Tensor]:
    """Return the batches of one epoch in random order, each with sequences of similar length.

    The sequences are shuffled. If their lengths differ, the sequences of each `POOL_BATCHES`
    batches are sorted by length with a random error, divided into batches, and the batches are
    shuffled. Batches then have little padding, and the random error (`LENGTH_NOISE`) makes them
    differ between epochs even if all sequences are sorted together.

    Parameters
    ----------
    lengths : int64 Tensor (count,)
    batch_size : int
    generator : torch.Generator
        Source of the order, on the CPU.
    sampling_weights : float Tensor (count,), optional
        Draw `count` sequences with replacement, with these relative probabilities; default: each
        sequence once.

    Returns
    -------
    list of int64 Tensor (batch_size,)
        One of them may be smaller.
    """
    if sampling_weights is None:
        order = torch.randperm(len(lengths), generator=generator)
    else:
        order = torch.multinomial(
            sampling_weights, len(lengths), replacement=True, generator=generator
        )
    if not bool((lengths != lengths[0]).any()):
        return list(order.split(batch_size))
    batches: list[Tensor] = []
    for pool in order.split(POOL_BATCHES * batch_size):
        noise = 1 + LENGTH_NOISE * torch.rand(len(pool), dtype=torch.float32, generator=generator)
        by_length = pool[(lengths[pool] * noise).argsort(stable=True)]
        batches.extend(by_length.split(batch_size))
    return [batches[n] for n in torch.randperm(len(batches), generator=generator)]


def batches_by_length(lengths: Tensor, batch_size: int, batch_steps: int) -> Iterator[Tensor]:
    """Yield the indices of all sequences in batches for evaluation, the shortest first.

    A batch has at most `batch_size` rows. It has at most `batch_steps` steps, including padding,
    unless a single row has more.
    """
    if len(lengths) == 1:  # no need to sort, as a server asks
        yield torch.tensor([0])
        return
    order = lengths.argsort(stable=True)
    first = 0
    while first < len(order):
        next_lengths = lengths[order[first : first + batch_size]]
        padded = next_lengths * torch.arange(1, len(next_lengths) + 1)
        count = max(1, int((padded <= batch_steps).sum()))
        yield order[first : first + count]
        first += count


def balanced_weights(counts: Tensor) -> Tensor:
    """Return class weights that balance the classes; their mean over all labels is 1.

    Parameters
    ----------
    counts : int64 Tensor (num_classes,)
        The number of labels of each class. A class without labels gets the weight 0.

    Examples
    --------
    >>> balanced_weights(torch.tensor([3, 0, 1])).tolist()
    [0.6666666865348816, 0.0, 2.0]
    """
    return normalized_weights(counts, (1 / counts.to(torch.float32)).masked_fill(counts == 0, 0.0))


def normalized_weights(counts: Tensor, weights: Tensor) -> Tensor:
    """Return class weights, scaled so that their mean over all labels is 1."""
    return weights * int(counts.sum()) / (counts * weights).sum()


def padding_waste(lengths: Iterable[Tensor]) -> float:
    """Return the fraction of the steps of batches that is padding.

    Parameters
    ----------
    lengths : iterable of int64 Tensor (rows,)
        The lengths of the rows of each batch.
    """
    steps = padded = 0
    for rows in lengths:
        steps += int(rows.sum())
        padded += int(rows.max()) * len(rows)
    return 1 - steps / padded
