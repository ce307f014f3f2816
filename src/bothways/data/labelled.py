"""Labelled sequences from a `.npz` file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bothways.data.arrays import Array, open_npz, to_inputs
from bothways.data.dataset import Dataset
from bothways.errors import BothwaysError, DataError
from bothways.sequences import Sequences

_NAMES = ("inputs", "lengths", "labels", "test_inputs", "test_lengths", "test_labels", "classes")


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
    if "test_lengths" in arrays and "test_inputs" not in arrays:
        raise DataError(f"{path} has test_lengths but no test_inputs; expected both or neither.")
    names = [name for name in ("labels", "test_labels") if name in arrays]
    _check_labels(arrays, names, path)
    classes = _class_names(arrays, names)
    for name in classes:
        if classes.count(name) > 1:
            raise DataError(f"{path}[classes] has {name!r} twice; expected each name once.")
    has_test = "test_inputs" in arrays
    if has_test != ("test_labels" in arrays):
        raise DataError(f"{path} has only one of test_inputs and test_labels; expected both.")
    return Dataset(
        name=path.name,
        train=_sequences(arrays, "", classes, path),
        test=_sequences(arrays, "test_", classes, path) if has_test else None,
        classes=classes,
    )


def _is_whole(array: Array) -> bool:
    return bool(np.issubdtype(array.dtype, np.integer))


def _check_labels(arrays: dict[str, Array], names: Sequence[str], path: Path) -> None:
    for name in names:
        labels = arrays[name]
        if labels.ndim != 1 or not len(labels):
            raise DataError(f"{path}[{name}] has shape {labels.shape}; expected (count,).")
        if not _is_whole(labels) and labels.dtype.kind != "U":
            raise DataError(
                f"{path}[{name}] has dtype {labels.dtype}; expected whole numbers or text."
            )
        if _is_whole(labels) != _is_whole(arrays["labels"]):
            raise DataError(
                f"{path}[{name}] has dtype {labels.dtype}; expected that of labels, "
                f"{arrays['labels'].dtype}."
            )
        if _is_whole(labels) and "classes" not in arrays and int(labels.max()) > 65535:
            raise DataError(f"{path}[{name}] holds {labels.max()}; expected at most 65535.")
    if "classes" in arrays and arrays["classes"].ndim != 1:
        raise DataError(
            f"{path}[classes] has shape {arrays['classes'].shape}; expected one name a class."
        )


def _class_names(arrays: dict[str, Array], names: Sequence[str]) -> tuple[str, ...]:
    if "classes" in arrays:
        return tuple(str(name) for name in arrays["classes"])
    if np.issubdtype(arrays["labels"].dtype, np.integer):
        return tuple(str(n) for n in range(1 + max(int(arrays[name].max()) for name in names)))
    return tuple(str(name) for name in np.unique(np.concatenate([arrays[n] for n in names])))


def _sequences(
    arrays: dict[str, Array], prefix: str, classes: tuple[str, ...], path: Path
) -> Sequences:
    labels = arrays[f"{prefix}labels"]
    if not np.issubdtype(labels.dtype, np.integer):
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
