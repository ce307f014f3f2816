"""The next steps of some sequences, as a user passes them: checked, and padded in pieces."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.data.offsets import LARGEST, subtract_offsets
from bothways.data.sequences import Sequences
from bothways.evaluation.evaluate import batch_steps
from bothways.kernels.lengths import Lengths
from bothways.models.inputs import checked_sequences
from bothways.models.manifest import Manifest

_FLOATS = {np.dtype(np.float32), np.dtype(np.float64)}


def int64_tensor(numbers: Sequence[int]) -> Tensor:
    """Return integers as a tensor; `torch.tensor` takes five times as long for a thousand."""
    return torch.from_numpy(np.array(numbers, np.int64))


class ChunkReader:
    """Converts arrays to the inputs of a model, as `TrainedModel.predict_proba` does.

    Arrays of floats that are in the range of the training data are checked in one go, because this
    is done for each step of a stream; all others go the same way as in `predict_proba`.

    Parameters
    ----------
    manifest : Manifest
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._input_size = manifest.model.input_size
        self._offsets = manifest.preprocessing.reading.offsets or ()
        self._is_numeric = not any(manifest.model.categories)
        self._low, self._high = manifest.preprocessing.training_range or (-LARGEST, LARGEST)

    def read(self, arrays: Sequence[Any]) -> Sequences:
        """Return arrays (time_i, input_size), or frames, as sequences.

        Raises
        ------
        DataError, ShapeError
            As `predict_proba`. The message numbers the arrays.
        """
        if self._is_numeric and self._are_plain(arrays):
            steps = subtract_offsets(np.concatenate(arrays), self._offsets)
            if self._low <= steps.min() and steps.max() <= self._high:  # not if NaN
                lengths = int64_tensor(list(map(len, arrays)))
                return Sequences(torch.from_numpy(steps), lengths.cumsum(0) - lengths, lengths)
        return checked_sequences(arrays, self._manifest)

    def pieces(self, chunks: Sequences) -> Iterator[tuple[Tensor, Tensor, Lengths]]:
        """Yield batches of all rows that have steps left, in their order.

        Yields
        ------
        rows : int64 Tensor (batch,)
        inputs : float32 Tensor (batch, time, input_size)
        lengths : Lengths
        """
        most = batch_steps(self._manifest.model)
        rows, starts, left = torch.arange(len(chunks)), chunks.starts, chunks.lengths
        if len(chunks.steps) == len(chunks) <= most:  # one step each: the usual case, without delay
            yield rows, chunks.steps[:, None], Lengths(left, 1, True)
            return
        while len(rows):
            lengths = left.clamp(max=max(1, most // len(rows)))
            batch = Sequences(chunks.steps, starts, lengths).batch(torch.arange(len(rows)))
            yield rows, batch.inputs, Lengths.of(lengths, *batch.inputs.shape[:2])
            more = left > lengths
            starts, left = (starts + lengths)[more], (left - lengths)[more]
            rows = rows[more]

    def _are_plain(self, arrays: Sequence[Any]) -> bool:
        """Return whether all are non-empty arrays of floats with the features of the model."""
        return (
            set(map(type, arrays)) == {np.ndarray}
            and {array.dtype for array in arrays} <= _FLOATS
            and {array.shape[1:] for array in arrays} == {(self._input_size,)}
            and all(map(len, arrays))
        )
