"""Labelled sequences from a `.npz` file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bothways.data.arrays import Array, open_npz, to_inputs
from bothways.data.dataset import Dataset
from bothways.errors import BothwaysError, DataError
from bothways.sequences import Sequences

_NAMES = ("inputs", "lengths", "labels", "test_inputs", "test_lengths", "test_labels", "classes")
MAX_UNNAMED_CLASS = 65_535
"""A larger label is taken for a mistake."""


def read_npz(path: Path) -> Dataset:
    """Read labelled sequences from a `.npz` file.

    Parameters
    ----------
    path : Path
        With `inputs` (count, time, input_size), uint8 or floats; `labels` (count,), whole numbers
        or text; optionally `lengths` (count,) of the rows before padding; the same again as
        `test_inputs`, `test_labels`, `test_lengths`; and `classes`, names for labels 0, 1, 2, ….

    Raises
    ------
    DataError
        If an array is missing, unknown, or does not fit the others.
    """
    with open_npz(path) as streams:
        for name in streams:
            if name not in _NAMES:
                raise DataError(
                    f"{path} holds an array {name!r}; expected only {', '.join(_NAMES)}. Rename it."
                )
        for name in ("inputs", "labels"):
            if name not in streams:
                raise DataError(
                    f"{path} holds {', '.join(streams) or 'nothing'}; expected {name!r} among "
                    "them. Save it with np.savez(path, inputs=…, labels=…)."
                )
        arrays = {name: stream.whole() for name, stream in streams.items()}
    _check_parts(arrays, path)
    parts = ("", "test_") if "test_inputs" in arrays else ("",)
    classes = _class_names(arrays, [arrays[f"{part}labels"] for part in parts], path)
    train, *test = (_sequences(arrays, part, classes, path) for part in parts)
    return Dataset(path.name, train, test[0] if test else None, classes)


def _check_parts(arrays: Mapping[str, Array], path: Path) -> None:
    """Refuse arrays that do not go together, before any of them is used."""
    if ("test_inputs" in arrays) != ("test_labels" in arrays):
        raise DataError(f"{path} has only one of test_inputs and test_labels; expected both.")
    if "test_lengths" in arrays and "test_inputs" not in arrays:
        raise DataError(f"{path} has test_lengths but no test_inputs; expected both or neither.")
    for name in ("labels", "test_labels"):
        labels = arrays.get(name, arrays["labels"])
        if labels.ndim != 1 or not len(labels):
            raise DataError(
                f"{path}[{name}] has shape {labels.shape}; expected (count,). Pass one a sequence."
            )
        if not _is_whole(labels) and labels.dtype.kind != "U":
            raise DataError(
                f"{path}[{name}] has dtype {labels.dtype}; expected whole numbers or text. "
                "Convert it."
            )
        if _is_whole(labels) != _is_whole(arrays["labels"]):
            raise DataError(
                f"{path}[{name}] has dtype {labels.dtype}; expected that of labels, "
                f"{arrays['labels'].dtype}. Convert one of them."
            )


def _class_names(
    arrays: Mapping[str, Array], labels: Sequence[Array], path: Path
) -> tuple[str, ...]:
    """Return `classes`, or else the numbers up to the largest label, or the texts in order."""
    if "classes" in arrays:
        if arrays["classes"].ndim != 1:
            raise DataError(
                f"{path}[classes] has shape {arrays['classes'].shape}; expected (num_classes,). "
                "Pass one name a class."
            )
        return tuple(str(name) for name in arrays["classes"])
    if not _is_whole(labels[0]):
        return tuple(str(name) for name in np.unique(np.concatenate(labels)))
    largest = max(int(part.max()) for part in labels)
    if largest > MAX_UNNAMED_CLASS:
        raise DataError(
            f"{path} has a label {largest}; expected at most {MAX_UNNAMED_CLASS} where classes "
            "are not named. Number them 0, 1, 2, …, or add an array classes."
        )
    return tuple(str(number) for number in range(1 + largest))


def _is_whole(array: Array) -> bool:
    return bool(np.issubdtype(array.dtype, np.integer))


def _sequences(
    arrays: Mapping[str, Array], prefix: str, classes: tuple[str, ...], path: Path
) -> Sequences:
    labels = arrays[f"{prefix}labels"]
    if not _is_whole(labels):
        number = {name: n for n, name in enumerate(classes)}
        unknown = sorted({str(label) for label in labels} - set(classes))
        if unknown:
            raise DataError(
                f"{path}[{prefix}labels] holds {unknown[0]!r}, which is not in classes "
                f"{', '.join(classes)}. Add it to classes."
            )
        labels = np.array([number[str(label)] for label in labels])
    inputs = to_inputs(arrays[f"{prefix}inputs"], f"{path}[{prefix}inputs]")
    try:
        return Sequences.from_padded(
            inputs, arrays.get(f"{prefix}lengths"), labels.astype(np.int64)
        )
    except BothwaysError as error:
        raise DataError(f"{path}: {prefix}{error}") from None
