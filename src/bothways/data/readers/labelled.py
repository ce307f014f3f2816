"""Labeled sequences from arrays: `.npz`, `.npy` and IDX files."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import torch

from bothways.data.batching import IGNORED
from bothways.data.dataset import Dataset
from bothways.data.offsets import find_offsets, subtract_offsets
from bothways.data.options import DataOptions
from bothways.data.readers.arrays import (
    Array,
    ArrayStream,
    npy_beside,
    open_idx,
    open_npy,
    open_npz,
    to_inputs,
)
from bothways.data.record import Record, Source
from bothways.data.sequences import LabeledSequences, Sequences
from bothways.errors import BothwaysError, DataError, ShapeError

_SAMPLE_VALUES = 1 << 20
_DEFAULT = DataOptions()

_PADDED = ("inputs", "lengths")
_FLAT = ("values", "offsets")
_OF_A_PART = (*_PADDED, *_FLAT, "labels", "groups")
_NAMES = (*_OF_A_PART, *(f"test_{name}" for name in _OF_A_PART), "classes")
# Other usual names of the arrays.
_ALIASES = {
    "X": "inputs", "y": "labels",
    "X_train": "inputs", "x_train": "inputs", "y_train": "labels",
    "X_test": "test_inputs", "x_test": "test_inputs", "y_test": "test_labels",
}  # fmt: skip


def read_npz(path: Path, options: DataOptions = _DEFAULT) -> Dataset:
    """Read labeled sequences from a `.npz` file.

    Parameters
    ----------
    path : Path
        With `inputs` (count, time, input_size), or (count, time) for one feature, uint8 or floats;
        `labels` (count,), integers or text; optionally `lengths` (count,) of the rows without
        padding; the same as `test_inputs`, `test_labels`, `test_lengths`; and `classes`, names for
        labels 0, 1, 2, …. `X`, `y`, `X_train`, `y_train`, `X_test` and `y_test` are accepted too.
    options : DataOptions
        `target`: for step, `labels` are (count, time) or, with values, (total_steps,); -1, or an
        empty text, for ignored steps. `axes`: of 3-D arrays.

    Raises
    ------
    DataError
        If an array is missing, unknown, or does not fit the others.
    """
    with open_npz(path) as found:
        streams = renamed(path, found)
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
        return _Arrays(path, options, streams).dataset()


def renamed(path: Path, found: Mapping[str, ArrayStream]) -> dict[str, ArrayStream]:
    """Return the arrays of a file under our names, whatever usual names they have.

    Raises
    ------
    DataError
        If two arrays have the same role.
    """
    streams: dict[str, ArrayStream] = {}
    for name, stream in found.items():
        role = _ALIASES.get(name, name)
        if role in streams:
            raise DataError(
                f"{path} has two arrays for {role}, one of them {name!r}; expected one. Remove the "
                "other."
            )
        streams[role] = stream
    return streams


def read_npy(path: Path, options: DataOptions = _DEFAULT) -> Dataset:
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
            f"np.save({files['labels'].name!r}, labels), one for each {options.target}."
        )
    with ExitStack() as stack:
        streams = {
            name: stack.enter_context(open_npy(file))
            for name, file in {"inputs": path, **files}.items()
            if file.exists()
        }
        return _Arrays(path, options, streams).dataset()


class _Arrays:
    """All arrays of a file, under the names of `read_npz`."""

    def __init__(
        self, path: Path, options: DataOptions, streams: Mapping[str, ArrayStream]
    ) -> None:
        self._path = path
        self._options = options
        self._target = options.target
        self._arrays = {name: stream.whole() for name, stream in streams.items()}
        self._named = {name: stream.name for name, stream in streams.items()}  # for messages
        self._prefixes = ("", "test_") if "test_labels" in streams else ("",)
        if options.axes == "nct":
            for name in ("inputs", "test_inputs"):
                if self._arrays.get(name, np.empty(0)).ndim == 3:
                    self._arrays[name] = self._arrays[name].transpose(0, 2, 1)
        self._offsets = options.offsets

    def dataset(self) -> Dataset:
        """Return them as sequences."""
        self._check_parts()
        classes = self._class_names()
        if "groups" in self._arrays and "test_groups" in self._arrays:
            shared = np.intersect1d(self._arrays["groups"], self._arrays["test_groups"])
            if len(shared):
                raise DataError(
                    f"{self._path}: group {shared[0]} is in groups and in test_groups; expected it "
                    "on one side only, or the figures are too good to be true. Split again."
                )
        if self._offsets is None:
            name = "values" if "values" in self._arrays else "inputs"
            sample = self._arrays[name]
            sample = sample.reshape(-1, sample.shape[-1] if sample.ndim > 1 else 1)
            self._offsets = find_offsets(sample[: _SAMPLE_VALUES // max(1, sample.shape[1])])
        train, *test = (self._sequences(prefix, classes) for prefix in self._prefixes)
        return Dataset(
            self._path.name, train, test[0] if test else None, classes, offsets=self._offsets
        )

    def _check_parts(self) -> None:
        """Refuse arrays that do not go together, before any is used."""
        path, arrays = self._path, self._arrays
        for prefix in ("", "test_"):
            padded, flat = f"{prefix}inputs", f"{prefix}values"
            if padded in arrays and flat in arrays:
                raise DataError(f"{path} has both {padded} and {flat}; expected one of them.")
            if (flat in arrays) != (f"{prefix}offsets" in arrays):
                raise DataError(
                    f"{path} has only one of {flat} and {prefix}offsets; expected both. "
                    "Add the other."
                )
            if f"{prefix}lengths" in arrays and padded not in arrays:
                raise DataError(
                    f"{path} has {prefix}lengths but no {padded}; expected both or neither."
                )
        if ("test_inputs" in arrays or "test_values" in arrays) != ("test_labels" in arrays):
            raise DataError(f"{path} has only one of test_inputs and test_labels; expected both.")
        for prefix in self._prefixes:
            self._check_labels(prefix)

    def _check_labels(self, prefix: str) -> None:
        named, labels = self._named[f"{prefix}labels"], self._arrays[f"{prefix}labels"]
        padded_steps = self._target == "step" and f"{prefix}inputs" in self._arrays
        if labels.ndim != 1 + padded_steps or not len(labels):
            shape = "(count, time)" if padded_steps else "(total_steps,)"
            advice = f"expected {shape}: a label for each step. Reshape it."
            if self._target == "sequence":
                advice = "expected (count,). Pass one a sequence."
                if labels.ndim == 2:
                    advice = "expected (count,). If each step has its own, use --target step."
            raise DataError(f"{named} has shape {labels.shape}; {advice}")
        if not _is_whole(labels) and labels.dtype.kind != "U":
            raise DataError(
                f"{named} has dtype {labels.dtype}; expected whole numbers or text. Convert it."
            )
        if _is_whole(labels) != _is_whole(self._arrays["labels"]):
            raise DataError(
                f"{named} has dtype {labels.dtype}; expected that of labels, "
                f"{self._arrays['labels'].dtype}. Convert one of them."
            )

    def _class_names(self) -> tuple[str, ...]:
        """Return `classes`, or else the numbers up to the largest label, or the texts in order."""
        classes = self._arrays.get("classes")
        if classes is not None:
            if classes.ndim != 1:
                raise DataError(
                    f"{self._named['classes']} has shape {classes.shape}; expected "
                    "(num_classes,). Pass one name a class."
                )
            return tuple(str(name) for name in classes)
        labels = [self._arrays[f"{prefix}labels"] for prefix in self._prefixes]
        if not _is_whole(labels[0]):
            texts = np.unique(np.concatenate([part.ravel() for part in labels]))
            return tuple(str(name) for name in texts if name != "" or self._target == "sequence")
        largest = max(int(part.max()) for part in labels)
        return _numbers_up_to(largest, self._path, self._options)

    def _sequences(self, prefix: str, classes: tuple[str, ...]) -> LabeledSequences:
        labels = self._numbered(f"{prefix}labels", classes)
        try:
            if f"{prefix}values" in self._arrays:
                offsets = self._arrays[f"{prefix}offsets"]
                plain = Sequences.from_flat(self._inputs(f"{prefix}values"), offsets)
            else:
                lengths = self._arrays.get(f"{prefix}lengths")
                plain = Sequences.from_padded(self._inputs(f"{prefix}inputs"), lengths)
            if self._target == "step":
                sequences = plain.with_step_labels(_of_steps(labels, plain))
            else:
                sequences = plain.with_labels(labels)
        except BothwaysError as error:
            raise DataError(f"{self._path}: {prefix}{error}") from None
        groups = self._arrays.get(f"{prefix}groups")
        if groups is None:
            return sequences
        if groups.shape != (len(sequences),) or not _is_whole(groups):
            raise DataError(
                f"{self._named[f'{prefix}groups']} has shape {groups.shape} and dtype "
                f"{groups.dtype}; expected whole numbers, ({len(sequences)},). Number the groups, "
                "one a sequence."
            )
        numbers = np.unique(groups, return_inverse=True)[1]
        return replace(sequences, groups=torch.from_numpy(numbers.astype(np.int64)))

    def _numbered(self, name: str, classes: tuple[str, ...]) -> Array:
        """Return labels as class numbers."""
        labels = self._arrays[name]
        if _is_whole(labels):
            return labels.astype(np.int64)
        number = {text: n for n, text in enumerate(classes)}
        if self._target == "step":
            number[""] = IGNORED
        texts, which = np.unique(labels, return_inverse=True)
        unknown = [str(text) for text in texts if str(text) not in number]
        if unknown:
            raise DataError(
                f"{self._named[name]} holds {unknown[0]!r}, which is not in classes "
                f"{', '.join(classes)}. Add it to classes."
            )
        numbers = np.array([number[str(text)] for text in texts], dtype=np.int64)
        return numbers[which].reshape(labels.shape)

    def _inputs(self, name: str) -> Array:
        array = self._arrays[name]
        if array.ndim == 2 and name.endswith("inputs"):  # of one feature
            array = array[:, :, None]
        if self._offsets and array.dtype == np.float64 and array.shape[-1] == len(self._offsets):
            return subtract_offsets(array, self._offsets)
        return to_inputs(array, self._named[name])


def _numbers_up_to(largest: int, path: Path, options: DataOptions) -> tuple[str, ...]:
    """Return the numbers as the names of the classes."""
    if largest >= options.max_classes:
        raise DataError(
            f"{path} has a label {largest}; expected at most {options.max_classes - 1}. Number the "
            f"classes 0, 1, 2, …, or add --max-classes {largest + 1}."
        )
    return tuple(str(number) for number in range(1 + largest))


def _is_whole(array: Array) -> bool:
    return bool(np.issubdtype(array.dtype, np.integer))


def _of_steps(labels: Array, sequences: Sequences) -> list[Array]:
    """Cut labels, padded (count, time) or flat (total_steps,), into those of each sequence."""
    if labels.ndim == 1:
        if len(labels) != len(sequences.steps):
            raise ShapeError(
                f"labels has {len(labels)} entries but there are {len(sequences.steps)} steps; "
                "expected one for each. Pass them all."
            )
        return np.split(labels, sequences.starts[1:].numpy())
    if len(labels) != len(sequences) or labels.shape[1] < sequences.longest:
        raise ShapeError(
            f"labels has shape {labels.shape} but there are {len(sequences)} sequences of up to "
            f"{sequences.longest} steps; expected (count, time). Pad them as inputs are."
        )
    return [row[:length] for row, length in zip(labels, sequences.lengths.tolist(), strict=True)]


def read_idx(path: Path, options: DataOptions = _DEFAULT) -> Dataset:
    """Read IDX images with the labels beside them, named as MNIST's authors do.

    `train-images-idx3-ubyte` has its labels in `train-labels-idx1-ubyte`, and `t10k-…` or `test-…`
    beside it is the test part. Rows of pixels are steps; all may be gzipped.

    Raises
    ------
    DataError
        If the labels are not there, or do not fit, or each step should have one.
    """
    if options.target == "step":
        raise DataError(
            f"{path} has one label an image; expected one for each step with --target step. "
            "Leave it out."
        )
    train = _idx_part(path)
    test = None
    for name in ("t10k", "test"):
        other = path.with_name(path.name.replace("train", name))
        if "train" in path.name and other.exists():
            test = _idx_part(other)
    largest = max(part.largest_label for part in (train, test) if part is not None)
    return Dataset(path.name, train, test, _numbers_up_to(largest, path, options))


def _idx_part(path: Path) -> LabeledSequences:
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
    if not _is_whole(numbers) or numbers.min() < 0:
        raise DataError(
            f"{labels_path} holds {numbers.dtype} values from {numbers.min()}; expected class "
            "numbers 0, 1, 2, …. Number the classes first."
        )
    return Sequences.from_padded(inputs, labels=numbers.astype(np.int64))


def as_source(dataset: Dataset) -> Source:
    """Return the sequences of a dataset as records, to cut windows and to combine files."""

    def records() -> Iterator[Record]:
        numbers = count()
        for part, sequences in dataset.parts.items():
            groups = None if sequences.groups is None else sequences.groups.tolist()
            starts, lengths = sequences.starts.tolist(), sequences.lengths.tolist()
            names = np.array([*dataset.classes, ""], dtype=object)  # IGNORED is -1, the last
            is_step = sequences.target == "step"
            for n, (start, length) in enumerate(zip(starts, lengths, strict=True)):
                own = slice(start, start + length)
                yield Record(
                    name=str(next(numbers)),
                    place=f"{part} sequence {n}",
                    values=sequences.steps[own].numpy(),
                    label=None if is_step else dataset.classes[sequences.labels[n]],
                    step_labels=names[sequences.labels[own].numpy()] if is_step else None,
                    group=None if groups is None else str(groups[n]),
                    part=part,  # type: ignore[arg-type]
                    named=False,
                )

    size = dataset.train.input_size
    features = dataset.features or tuple(f"feature {n}" for n in range(size))
    return Source(features, records(), classes=dataset.classes, offsets=list(dataset.offsets))
