"""`.npy` files: one padded array, with its labels in a file next to it."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bothways.data.options import DataOptions
from bothways.data.readers.arrays.labels import class_names_of, class_numbers
from bothways.data.readers.arrays.part import ArrayPart, padded_part
from bothways.data.readers.arrays.streams import open_npy
from bothways.data.record import Record, Source, numbered_features
from bothways.errors import DataError


def read_npy(path: Path, options: DataOptions, *, labeled: bool = True) -> Source:
    """Read an array (count, time, features) or (count, time).

    The labels of `waves.npy` are in `waves_labels.npy` and, if rows are padded, its lengths in
    `waves_lengths.npy`; see `read_npz`.

    Raises
    ------
    DataError
        If the labels are missing, or an array does not fit the others.
    """
    labels_path, lengths_path = (
        path.with_name(f"{path.stem}_{name}.npy") for name in ("labels", "lengths")
    )
    if labeled and not labels_path.exists():
        raise DataError(
            f"{path} has no labels next to it; expected {labels_path.name}. Save them with "
            f"np.save({labels_path.name!r}, labels), one for each {options.target}."
        )
    classes = None
    with ExitStack() as stack:
        stream = stack.enter_context(open_npy(path))
        lengths = stack.enter_context(open_npy(lengths_path)) if lengths_path.exists() else None
        part = padded_part(stream, lengths, options, "train" if labeled else None)
        if labeled:
            found = stack.enter_context(open_npy(labels_path))
            labels = found.whole(part.most_labels)
            classes = class_names_of([(found.name, labels)], None, options) if labels.size else ()
            numbers = class_numbers(found.name, labels, classes, part, options.target)
            part = replace(part, labels=numbers, class_names=classes, target=options.target)
    features = numbered_features(part.input_size)
    return Source(features, _records(path, part), classes=classes)


def _records(path: Path, part: ArrayPart) -> Iterator[Record]:
    with open_npy(path) as stream:
        yield from part.records(stream, 0)
