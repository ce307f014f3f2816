"""Labelled sequences from arrays: `.npz`, `.npy` and IDX files."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from bothways.data.arrays import (
    Array,
    ArrayStream,
    npy_beside,
    open_idx,
    open_npy,
    open_npz,
    to_inputs,
)
from bothways.data.dataset import Dataset
from bothways.errors import BothwaysError, DataError
from bothways.sequences import Sequences

_PADDED = ("inputs", "lengths")
_FLAT = ("values", "offsets")
_OF_A_PART = (*_PADDED, *_FLAT, "labels", "groups")
_NAMES = (*_OF_A_PART, *(f"test_{name}" for name in _OF_A_PART), "classes")
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
        for names in (("inputs", "values"), ("labels",)):
            if not any(name in streams for name in names):
                raise DataError(
                    f"{path} holds {', '.join(streams) or 'nothing'}; expected {names[0]!r} among "
                    "them. Save it with np.savez(path, inputs=…, labels=…)."
                )
        return _dataset(streams, path)


def read_npy(path: Path) -> Dataset:
    """Read a padded array (count, time, input_size) with its labels in a file beside it.

    `waves.npy` has its labels in `waves_labels.npy` and, where ragged, its lengths in
    `waves_lengths.npy`; see `read_npz` for what they hold.

    Raises
    ------
    DataError
        If the labels are not there, or an array does not fit the others.
    """
    files = {name: npy_beside(path, name) for name in ("labels", "lengths")}
    if not files["labels"].exists():
        raise DataError(
            f"{path} has no labels beside it; expected {files['labels'].name}. Save them with "
            f"np.save({files['labels'].name!r}, labels), one for each sequence."
        )
    with ExitStack() as stack:
        streams = {
            name: stack.enter_context(open_npy(file))
            for name, file in {"inputs": path, **files}.items()
            if file.exists()
        }
        return _dataset(streams, path)


def _dataset(streams: Mapping[str, ArrayStream], path: Path) -> Dataset:
    """Return the sequences in open arrays, which go by the names of `read_npz`."""
    arrays = {name: stream.whole() for name, stream in streams.items()}
    names = {name: stream.name for name, stream in streams.items()}
    _check_parts(arrays, names, path)
    parts = ("", "test_") if "test_labels" in arrays else ("",)
    classes = _class_names(arrays, [arrays[f"{part}labels"] for part in parts], path)
    if "groups" in arrays and "test_groups" in arrays:
        shared = np.intersect1d(arrays["groups"], arrays["test_groups"])
        if len(shared):
            raise DataError(
                f"{path}: group {shared[0]} is in groups and in test_groups; expected it on one "
                "side only, or the figures are too good to be true. Split again."
            )
    train, *test = (_sequences(arrays, names, part, classes, path) for part in parts)
    return Dataset(path.name, train, test[0] if test else None, classes)


def _check_parts(arrays: Mapping[str, Array], names: Mapping[str, str], path: Path) -> None:
    """Refuse arrays that do not go together, before any is used; `names` are for messages."""
    for prefix in ("", "test_"):
        padded, flat = f"{prefix}inputs", f"{prefix}values"
        if padded in arrays and flat in arrays:
            raise DataError(f"{path} has both {padded} and {flat}; expected one of them.")
        if (flat in arrays) != (f"{prefix}offsets" in arrays):
            raise DataError(
                f"{path} has only one of {flat} and {prefix}offsets; expected both. Add the other."
            )
        if f"{prefix}lengths" in arrays and padded not in arrays:
            raise DataError(
                f"{path} has {prefix}lengths but no {padded}; expected both or neither."
            )
    if ("test_inputs" in arrays or "test_values" in arrays) != ("test_labels" in arrays):
        raise DataError(f"{path} has only one of test_inputs and test_labels; expected both.")
    for name in ("labels", "test_labels"):
        labels = arrays.get(name, arrays["labels"])
        if labels.ndim != 1 or not len(labels):
            raise DataError(
                f"{names[name]} has shape {labels.shape}; expected (count,). Pass one a sequence."
            )
        if not _is_whole(labels) and labels.dtype.kind != "U":
            raise DataError(
                f"{names[name]} has dtype {labels.dtype}; expected whole numbers or text. "
                "Convert it."
            )
        if _is_whole(labels) != _is_whole(arrays["labels"]):
            raise DataError(
                f"{names[name]} has dtype {labels.dtype}; expected that of labels, "
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
    arrays: Mapping[str, Array],
    names: Mapping[str, str],
    prefix: str,
    classes: tuple[str, ...],
    path: Path,
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
    labels = labels.astype(np.int64)
    try:
        if f"{prefix}values" in arrays:
            values = to_inputs(arrays[f"{prefix}values"], names[f"{prefix}values"])
            sequences = Sequences.from_flat(values, arrays[f"{prefix}offsets"], labels)
        else:
            inputs = to_inputs(arrays[f"{prefix}inputs"], names[f"{prefix}inputs"])
            sequences = Sequences.from_padded(inputs, arrays.get(f"{prefix}lengths"), labels)
    except BothwaysError as error:
        raise DataError(f"{path}: {prefix}{error}") from None
    groups = arrays.get(f"{prefix}groups")
    if groups is not None:
        if groups.shape != labels.shape or not _is_whole(groups):
            raise DataError(
                f"{path}[{prefix}groups] has shape {groups.shape} and dtype {groups.dtype}; "
                f"expected whole numbers, {labels.shape}. Number the groups, one number a sequence."
            )
        numbers = np.unique(groups, return_inverse=True)[1]
        sequences.groups = torch.from_numpy(numbers.astype(np.int64))
    return sequences


def read_idx(path: Path) -> Dataset:
    """Read IDX images with the labels beside them, named as MNIST's authors do.

    `train-images-idx3-ubyte` has its labels in `train-labels-idx1-ubyte`, and `t10k-…` or `test-…`
    beside it is the test part. Rows of pixels are steps; all may be gzipped.

    Raises
    ------
    DataError
        If the labels are not there, or do not fit.
    """
    train = _idx_part(path)
    test = None
    for name in ("t10k", "test"):
        other = path.with_name(path.name.replace("train", name))
        if "train" in path.name and other.exists():
            test = _idx_part(other)
    numbers = [part.labels for part in (train, test) if part is not None]
    largest = max(int(part.max()) for part in numbers if part is not None)
    return Dataset(path.name, train, test, tuple(str(number) for number in range(1 + largest)))


def _idx_part(path: Path) -> Sequences:
    labels_path = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    if labels_path == path or not labels_path.exists():
        raise DataError(
            f"{path} has no labels beside it; expected {labels_path.name}. Name the two files as "
            "MNIST's are: …-images-idx3-ubyte and …-labels-idx1-ubyte."
        )
    with open_idx(path) as images, open_idx(labels_path) as labels:
        inputs, numbers = to_inputs(images.whole(), str(path)), labels.whole()
    if inputs.ndim != 3 or numbers.shape != inputs.shape[:1]:
        raise DataError(
            f"{path} has shape {inputs.shape} and {labels_path.name} {numbers.shape}; expected "
            "(count, rows, columns) and (count,). Check that they belong together."
        )
    return Sequences.from_padded(inputs, labels=numbers.astype(np.int64))
