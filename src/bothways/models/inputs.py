"""What users pass to a trained model: as sequences, read as in training, and checked."""

import warnings
from pathlib import Path
from typing import Any

from bothways.data.frames import arrays_of_frames, has_frames, is_frame
from bothways.data.offsets import reduced
from bothways.data.sequences import Sequences
from bothways.data.validation import value_range
from bothways.errors import DataError, ShapeError, counted
from bothways.models.manifest import Manifest


class ScaleWarning(UserWarning):
    """Inputs are far outside the range of the training data."""


class UnknownTokensWarning(UserWarning):
    """Most categories of a feature are not in the vocabulary of the model."""


def checked_sequences(data: Any, manifest: Manifest) -> Sequences:
    """Return user input as sequences; warn if they differ much from the training data.

    Parameters
    ----------
    data : list of arrays, array, list of frames, frame or Sequences
        See `TrainedModel`.
    manifest : Manifest
        Of the model.

    Raises
    ------
    DataError, ShapeError
        If `data` are not floats, or do not have the features of the model.
    """
    if isinstance(data, str | Path):
        raise DataError(
            f"the sequences are {str(data)!r}, a text or a path; expected arrays or frames. To "
            "read a file, run: bothways predict MODEL FILE"
        )
    config = manifest.model
    sequences = data if isinstance(data, Sequences) else _as_sequences(data, manifest)
    if sequences.input_size != config.input_size:
        raise ShapeError(
            f"the sequences have {counted(sequences.input_size, 'feature')} per time step; "
            f"expected {config.input_size}, as in training. Check the order of the axes."
        )
    known = manifest.preprocessing.training_range
    span = 0.0 if known is None else known[1] - known[0]
    low, high = value_range(
        sequences.chunks(), missing=config.accepts_missing, features=config.numeric_features
    )
    if known is not None and (low < known[0] - span or high > known[1] + span):
        warnings.warn(
            f"inputs range from {low:g} to {high:g}, but those in training from {known[0]:g} "
            f"to {known[1]:g}; expected the same scale. Scale them as in training.",
            ScaleWarning,
            stacklevel=4,
        )
    _warn_of_unknown_tokens(sequences, manifest)
    return sequences


def _as_sequences(data: Any, manifest: Manifest) -> Sequences:
    """Return arrays or frames as sequences, read as in training."""
    preprocessing = manifest.preprocessing
    reading = preprocessing.reading
    if has_frames(data):
        names = preprocessing.features or None
        data, names = arrays_of_frames(data, names, reading.vocabularies)
    if is_frame(data):
        raise DataError(
            "the sequences are one data frame; expected a list of frames, or a pandas frame with a "
            "two-level index (sequence, time). For one sequence, pass a list: predict([frame])."
        )
    if getattr(data, "ndim", 3) == 2:
        raise DataError(
            f"the sequences are an array of shape {tuple(data.shape)}; expected (count, time, "
            "features), or a list of arrays (time, features). For one sequence, pass a list: "
            "predict([array])."
        )
    if hasattr(data, "ndim"):
        swapped = data.ndim == 3 and reading.axes == "nct"
        data = data.swapaxes(1, 2) if swapped else data
        return Sequences.from_padded(reduced(data, reading.offsets or ()))
    return Sequences.from_arrays([reduced(array, reading.offsets or ()) for array in data])


def _warn_of_unknown_tokens(sequences: Sequences, manifest: Manifest) -> None:
    for feature, count in enumerate(manifest.model.categories):
        if not count:
            continue
        unknown = total = 0
        for steps, _ in sequences.chunks():
            numbers = steps[:, feature]
            unknown += int(((numbers < 1) | (numbers > count)).sum())
            total += len(steps)
        if 2 * unknown > total:
            name, expected = _describe_tokens(feature, count, manifest)
            warnings.warn(
                f"{unknown:,} of {total:,} values of {name} do not occur in the training "
                f"data; expected {expected}. Check them.",
                UnknownTokensWarning,
                stacklevel=5,
            )


def _describe_tokens(feature: int, count: int, manifest: Manifest) -> tuple[str, str]:
    """Return what to call a categorical feature, and its categories, for a message."""
    preprocessing = manifest.preprocessing
    names = preprocessing.features  # none, if the model was trained on arrays
    name = names[feature] if feature < len(names) else None
    known = preprocessing.reading.vocabularies.get(name or "", ())
    return (
        f"feature {feature}" if name is None else repr(name),
        f"the same names ({', '.join(known[:3])}, …)" if known else f"numbers from 1 to {count}",
    )
