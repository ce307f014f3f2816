"""Sequences of different lengths: stored end to end, padded into batches here and nowhere else.

>>> import numpy as np
>>> sequences = Sequences.from_arrays([np.ones((3, 2)), np.ones((5, 2))], labels=[0, 1])
>>> batch = sequences.batch([1, 0])
>>> tuple(batch.inputs.shape), batch.lengths.tolist(), batch.labels.tolist()
((2, 5, 2), [5, 3], [1, 0])
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from bothways.errors import DataError, ShapeError
from bothways.ragged import checked_lengths

POOL_BATCHES = 32
"""Batches sorted together."""

LENGTH_NOISE = 0.1
"""How much longer a sequence may seem when it is sorted."""

CHUNK_STEPS = 1 << 16
"""Steps looked at together where all of them are looked at."""


@dataclass(frozen=True)
class SequenceBatch:
    """A padded batch.

    Parameters
    ----------
    inputs : Tensor (batch, time, input_size)
        Steps at or past a row's length are padding.
    lengths : int64 Tensor (batch,), on the CPU
    labels : int64 Tensor (batch,), optional
    weights : float32 Tensor (batch,), optional
        What each row counts in the loss; all the same where not given.
    """

    inputs: Tensor
    lengths: Tensor
    labels: Tensor | None = None
    weights: Tensor | None = None

    def to(self, device: torch.device) -> "SequenceBatch":
        """Return the batch with all but the lengths, which stay on the CPU, on `device`."""
        labels, weights = (
            None if tensor is None else tensor.to(device, non_blocking=True)
            for tensor in (self.labels, self.weights)
        )
        inputs = self.inputs.to(device, non_blocking=True)
        return SequenceBatch(inputs, self.lengths, labels, weights)


class Sequences:
    """Sequences held end to end in one tensor, so that one gather makes a batch.

    Parameters
    ----------
    steps : float32 Tensor (total_steps, input_size)
    starts, lengths : int64 Tensor (count,)
        Sequence n is `steps[starts[n] : starts[n] + lengths[n]]`.
    labels : int64 Tensor (count,), optional
    weights : float32 Tensor (count,), optional
        What each sequence counts in the loss.
    groups : int64 Tensor (count,), optional
        Sequences of one group, a person's for example, must not be on both sides of a split.

    See Also
    --------
    from_arrays, from_padded : build one from what you have.
    """

    def __init__(
        self,
        steps: Tensor,
        starts: Tensor,
        lengths: Tensor,
        labels: Tensor | None = None,
        weights: Tensor | None = None,
        groups: Tensor | None = None,
    ) -> None:
        self.steps = steps
        self.starts = starts
        self.lengths = lengths
        self.labels = labels
        self.weights = weights
        self.groups = groups

    @classmethod
    def from_arrays(cls, arrays: Sequence[Any], labels: Any = None) -> Self:
        """Take a list of arrays (time_i, input_size), one a sequence.

        Raises
        ------
        DataError
            If an array is empty or not 2-D, has another number of features than the first, is
            not of floats, or there is not one label (a class number) for each.
        """
        rows = [_as_floats(array, f"sequences[{n}]") for n, array in enumerate(arrays)]
        if not rows:
            raise DataError("sequences is empty; expected at least one. Pass a list of arrays.")
        for n, row in enumerate(rows):
            if row.ndim != 2 or not len(row) or row.shape[1] != rows[0].shape[-1]:
                raise DataError(
                    f"sequences[{n}] has shape {row.shape}; expected (time, "
                    f"{rows[0].shape[-1]}), time at least 1. Drop or mend it."
                )
        lengths = torch.tensor([len(row) for row in rows])
        starts = lengths.cumsum(0) - lengths
        steps = torch.from_numpy(np.concatenate(rows))
        return cls(steps, starts, lengths, _as_labels(labels, len(rows)))

    @classmethod
    def from_padded(cls, inputs: Any, lengths: Any = None, labels: Any = None) -> Self:
        """Take one array (count, time, input_size) and the lengths of its rows.

        Raises
        ------
        DataError
            If `inputs` is not 3-D or not of floats, or `labels` do not fit it.
        ShapeError
            If `lengths` do not fit it.
        """
        array = _as_floats(inputs, "inputs")
        if array.ndim != 3 or 0 in array.shape:
            raise DataError(
                f"inputs has shape {array.shape}; expected (count, time, input_size), none of "
                "them 0. Reshape it."
            )
        count, time, input_size = array.shape
        if lengths is None:
            checked = torch.full((count,), time)
            steps = torch.from_numpy(array).reshape(count * time, input_size)
        else:
            checked = checked_lengths(lengths, count, time)
            steps = torch.from_numpy(array)[torch.arange(time) < checked[:, None]]
        starts = checked.cumsum(0) - checked
        return cls(steps, starts, checked, _as_labels(labels, count))

    @classmethod
    def from_flat(cls, values: Any, offsets: Any, labels: Any = None) -> Self:
        """Take all steps end to end (total_steps, input_size), and where each sequence begins.

        `offsets` (count + 1,) ends with the total; sequence n goes from offsets[n] to the next.

        Raises
        ------
        DataError
            If `values` is not 2-D or not of floats, `offsets` do not rise from 0 to its end, or
            `labels` do not fit.
        """
        array = _as_floats(values, "values")
        if array.ndim != 2 or 0 in array.shape:
            raise DataError(
                f"values has shape {array.shape}; expected (total_steps, input_size), none of them "
                "0. Reshape it."
            )
        bounds = np.asarray(offsets)
        rising = bounds.ndim == 1 and len(bounds) > 1 and bounds.dtype.kind in "iu"
        if not rising or bounds[0] != 0 or bounds[-1] != len(array) or (np.diff(bounds) < 1).any():
            raise DataError(
                f"offsets has shape {bounds.shape} and dtype {bounds.dtype}; expected whole "
                f"numbers (count + 1,) that rise from 0 to {len(array)}, the steps of values. "
                "Mend them."
            )
        edges = torch.from_numpy(bounds.astype(np.int64))
        lengths = edges[1:] - edges[:-1]
        return cls(torch.from_numpy(array), edges[:-1], lengths, _as_labels(labels, len(lengths)))

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def input_size(self) -> int:
        """Features of one step."""
        return self.steps.shape[1]

    @property
    def longest(self) -> int:
        """Steps of the longest sequence."""
        return int(self.lengths.max())

    @property
    def is_ragged(self) -> bool:
        """Whether lengths differ."""
        return bool((self.lengths != self.lengths[0]).any())

    def subset(self, indices: Tensor) -> "Sequences":
        """Return the sequences at `indices`; they share the steps with this one."""
        labels, weights, groups = (
            None if tensor is None else tensor[indices]
            for tensor in (self.labels, self.weights, self.groups)
        )
        starts, lengths = self.starts[indices], self.lengths[indices]
        return Sequences(self.steps, starts, lengths, labels, weights, groups)

    def with_weights(self, weights: Tensor | None) -> "Sequences":
        """Return the same sequences with other weights in the loss."""
        return Sequences(self.steps, self.starts, self.lengths, self.labels, weights, self.groups)

    def batch(self, indices: Tensor | Sequence[int]) -> SequenceBatch:
        """Gather the sequences at `indices`, padded with zeros to the longest of them."""
        indices = torch.as_tensor(indices)
        starts, lengths = self.starts[indices], self.lengths[indices]
        labels, weights = (
            None if tensor is None else tensor[indices] for tensor in (self.labels, self.weights)
        )
        longest = int(lengths.max())
        if self._is_table:
            table = self.steps.view(-1, longest, self.input_size)
            inputs = table.index_select(0, starts // longest)
            return SequenceBatch(inputs, lengths, labels, weights)
        position = torch.arange(longest)
        rows = starts[:, None] + position  # (batch, time)
        is_padding = position >= lengths[:, None]
        ragged = bool(is_padding.any())
        if ragged:
            rows = rows.masked_fill(is_padding, 0)
        inputs = self.steps.index_select(0, rows.flatten()).view(len(starts), longest, -1)
        if ragged:
            inputs.masked_fill_(is_padding[:, :, None], 0.0)
        return SequenceBatch(inputs, lengths, labels, weights)

    @cached_property
    def _is_table(self) -> bool:
        """Whether the steps are a table with a row for each sequence, of one length: no padding."""
        longest = self.longest
        aligned = len(self.steps) % longest == 0 and not bool((self.starts % longest).any())
        return aligned and not self.is_ragged

    def by_length(self, batch_size: int) -> Iterator[Tensor]:
        """Yield the indices of all sequences in batches, the shortest first: for evaluation."""
        order = self.lengths.argsort(stable=True) if self.is_ragged else torch.arange(len(self))
        yield from order.split(batch_size)

    def steps_in_chunks(self) -> Iterator[Tensor]:
        """Yield all steps of these sequences, each once, `CHUNK_STEPS` at most at a time."""
        bounds = torch.zeros(len(self.steps) + 1, dtype=torch.int64)
        bounds.index_add_(0, self.starts, torch.ones_like(self.starts))
        bounds.index_add_(0, self.starts + self.lengths, -torch.ones_like(self.starts))
        ours = bounds[:-1].cumsum(0) > 0  # the steps are shared with other subsets
        for steps, wanted in zip(
            self.steps.split(CHUNK_STEPS), ours.split(CHUNK_STEPS), strict=True
        ):
            yield steps if bool(wanted.all()) else steps[wanted]

    def value_range(self, name: str = "sequences", *, missing: bool = False) -> tuple[float, float]:
        """Return the smallest and the largest value; `name` and `missing` as in `check_finite`.

        Raises
        ------
        DataError
            As `check_finite`.
        """
        low, high = float("inf"), -float("inf")
        for steps in self.steps_in_chunks():
            absent = steps.isnan()
            if bool(absent.any()):
                if not missing:
                    self.check_finite(name)
                steps = steps[~absent]
            if steps.numel():
                low, high = min(low, float(steps.min())), max(high, float(steps.max()))
        if max(-low, high) == float("inf") and low <= high:
            self.check_finite(name, missing=missing)
        return low, high

    def check_finite(
        self,
        name: str,
        first: int = 0,
        *,
        missing: bool = False,
        features: Sequence[str] = (),
    ) -> None:
        """Raise DataError, with the row in `name` (counted from `first`), at a value no net takes.

        That is infinity and, unless it may stand for what is `missing`, NaN. `features` are names.
        """
        start = 0
        for steps in self.steps.split(CHUNK_STEPS):
            bad = steps.isinf() if missing else ~steps.isfinite()
            for step, feature in bad.nonzero().tolist():
                step += start
                rows = ((self.starts <= step) & (step < self.starts + self.lengths)).nonzero()
                if not len(rows):  # it belongs to another subset
                    continue
                row = int(rows[0])
                is_nan = bool(self.steps[step, feature].isnan())
                what = features[feature] if features else f"feature {feature}"
                raise DataError(
                    f"{name}[{first + row}] holds {float(self.steps[step, feature])} at step "
                    f"{step - int(self.starts[row])}, {what}; expected finite numbers. "
                    "Mend or drop it"
                    + (", or say what NaN stands for: --missing mean." if is_nan else ".")
                )
            start += len(steps)

    def fingerprint(self) -> str:
        """Return the SHA-256 of lengths, labels, groups and steps, to tell if data have changed."""
        digest = hashlib.sha256(repr(tuple(self.steps.shape)).encode())
        for tensor in (self.starts, self.lengths, self.labels, self.groups, self.steps):
            if tensor is not None:
                digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


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
        noise = 1 + LENGTH_NOISE * torch.rand(len(pool), generator=generator)
        by_length = pool[(lengths[pool] * noise).argsort(stable=True)]
        batches.extend(by_length.split(batch_size))
    return [batches[n] for n in torch.randperm(len(batches), generator=generator)]


def balanced_weights(labels: Tensor) -> Tensor:
    """Return a weight for each label, so that all classes weigh the same and the mean is 1.

    Examples
    --------
    >>> balanced_weights(torch.tensor([0, 0, 0, 1])).tolist()
    [0.6666666865348816, 0.6666666865348816, 0.6666666865348816, 2.0]
    """
    counts = labels.bincount()
    num_present = int((counts > 0).sum())
    return len(labels) / (num_present * counts[labels].float())


def padding_waste(lengths: Tensor, batches: Sequence[Tensor]) -> float:
    """Return the fraction of the steps in `batches` that is padding."""
    padded = sum(int(lengths[batch].max()) * len(batch) for batch in batches)
    return 1 - int(lengths.sum()) / padded


def _as_floats(array: Any, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    array = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(
            f"{name} has dtype {array.dtype}; expected floats, which are taken as they are. "
            "Scale it yourself, for example array / np.float32(255)."
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def _as_labels(labels: Any, count: int) -> Tensor | None:
    if labels is None:
        return None
    tensor = torch.as_tensor(labels)
    if tensor.shape != (count,):
        raise ShapeError(
            f"labels has shape {tuple(tensor.shape)} but there are {count} sequences; expected "
            f"({count},). Pass one class number per sequence."
        )
    if tensor.is_floating_point() or tensor.dtype == torch.bool or int(tensor.min()) < 0:
        raise DataError(
            f"labels holds {tensor.dtype} values from {tensor.min().item()}; expected class "
            "numbers 0, 1, 2, …. Number the classes first."
        )
    return tensor.to(torch.int64)
