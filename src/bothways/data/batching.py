"""Batches: their content, their order in training and evaluation, and the weights of classes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

IGNORED = -1
"""The label of a step that is ignored in losses and metrics."""

POOL_BATCHES = 32
"""Batches sorted together."""

LENGTH_NOISE = 0.1
"""How much longer a sequence may seem when it is sorted."""


@dataclass(frozen=True)
class SequenceBatch:
    """A padded batch.

    Parameters
    ----------
    inputs : Tensor (batch, time, input_size)
        Zero at and past the length of a row.
    lengths : int64 Tensor (batch,), on the CPU
    """

    inputs: Tensor
    lengths: Tensor

    def to(self, device: torch.device) -> Self:
        """Return the batch with all tensors but the lengths, which stay on the CPU, on `device`."""
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


def shuffled_batches(
    lengths: Tensor,
    batch_size: int,
    generator: torch.Generator,
    odds: Tensor | None = None,
) -> list[Tensor]:
    """Return an epoch's batches: in random order, rows of like length together.

    The order is drawn anew each epoch. Where lengths differ, each `POOL_BATCHES` batches' worth of
    the shuffled sequences is sorted by length, give or take `LENGTH_NOISE`, and cut into batches,
    which are shuffled again: so little of a batch is padding, and batch-mates change every epoch
    even where all sequences fit in one pool.

    Parameters
    ----------
    lengths : int64 Tensor (count,)
    batch_size : int
    generator : torch.Generator
        Source of the order, on the CPU.
    odds : float Tensor (count,), optional
        Draw as many sequences with replacement, in proportion to these; each once where not given.

    Returns
    -------
    list of int64 Tensor (batch_size,); one of them may be smaller
    """
    if odds is None:
        order = torch.randperm(len(lengths), generator=generator)
    else:
        order = torch.multinomial(odds, len(lengths), replacement=True, generator=generator)
    if not bool((lengths != lengths[0]).any()):
        return list(order.split(batch_size))
    batches: list[Tensor] = []
    for pool in order.split(POOL_BATCHES * batch_size):
        noise = 1 + LENGTH_NOISE * torch.rand(len(pool), dtype=torch.float32, generator=generator)
        by_length = pool[(lengths[pool] * noise).argsort(stable=True)]
        batches.extend(by_length.split(batch_size))
    return [batches[n] for n in torch.randperm(len(batches), generator=generator)]


def batches_by_length(lengths: Tensor, batch_size: int, batch_steps: int) -> Iterator[Tensor]:
    """Yield the indices of all sequences in batches, the shortest first: for evaluation.

    A batch has at most `batch_size` rows and, unless one row has more, `batch_steps` steps with its
    padding.
    """
    order = lengths.argsort(stable=True)
    first = 0
    while first < len(order):
        own = lengths[order[first : first + batch_size]]
        padded = own * torch.arange(1, len(own) + 1)
        count = max(1, int((padded <= batch_steps).sum()))
        yield order[first : first + count]
        first += count


def balanced_weights(counts: Tensor) -> Tensor:
    """Return a weight for each class, so that all weigh the same and the mean over labels is 1.

    Parameters
    ----------
    counts : int64 Tensor (num_classes,)
        How often each class occurs; one that does not has weight 0.

    Examples
    --------
    >>> balanced_weights(torch.tensor([3, 0, 1])).tolist()
    [0.6666666865348816, 0.0, 2.0]
    """
    return normalized_weights(counts, (1 / counts.to(torch.float32)).masked_fill(counts == 0, 0.0))


def normalized_weights(counts: Tensor, weights: Tensor) -> Tensor:
    """Return the classes' weights, scaled so that their mean over labels is 1."""
    return weights * int(counts.sum()) / (counts * weights).sum()


def padding_waste(lengths: Tensor, batches: Sequence[Tensor]) -> float:
    """Return the fraction of the steps in `batches` that is padding."""
    padded = sum(int(lengths[batch].max()) * len(batch) for batch in batches)
    return 1 - int(lengths.sum()) / padded
