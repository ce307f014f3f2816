"""IDX files, plain or gzipped: images as MNIST's authors store them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bothways.data.options import DataOptions
from bothways.data.readers.arrays.labels import class_names_of, class_numbers
from bothways.data.readers.arrays.part import ArrayPart, padded_part
from bothways.data.readers.arrays.streams import Array, open_idx
from bothways.data.record import Part, Record, Source, numbered_features
from bothways.errors import DataError


def read_idx(path: Path, options: DataOptions, *, labeled: bool = True) -> Source:
    """Read the images of an IDX file; rows of pixels are time steps.

    `train-images-idx3-ubyte` has its labels in `train-labels-idx1-ubyte`, and the test part in
    `t10k-…` or `test-…` next to it.

    Raises
    ------
    DataError
        If the labels are missing or do not fit, or are to be labels of time steps.
    """
    if labeled and options.target == "step":
        raise DataError(
            f"{path} has one label for each image; expected one for each time step with --target "
            "step. Omit it."
        )
    files: dict[Path, Part | None] = {path: "train" if labeled else None}
    for prefix in ("t10k", "test"):
        other = path.with_name(path.name.replace("train", prefix))
        if labeled and "train" in path.name and other.exists():
            files[other] = "test"
    labels = {file: _labels(file) for file in files} if labeled else {}
    filled = [(name, array) for name, array in labels.values() if array.size]
    classes = class_names_of(filled, None, options) if filled else ()
    parts = {}
    for file, name in files.items():
        with open_idx(file) as images:
            part = padded_part(images, None, options.model_copy(update={"axes": "ntc"}), name)
        if labeled:
            named, array = labels[file]
            if array.shape != part.shape[:1] or len(part.shape) != 3:
                raise DataError(
                    f"{file} has shape {part.shape} and {named} {array.shape}; expected (count, "
                    "rows, columns) and (count,). Check that they belong together."
                )
            numbers = class_numbers(named, array, classes, part, "sequence")
            part = replace(part, labels=numbers, class_names=classes)
        parts[file] = part
    features = numbered_features(parts[path].input_size)
    return Source(features, _records(parts), classes=classes or None)


def _labels(path: Path) -> tuple[str, Array]:
    labels_path = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    if labels_path == path or not labels_path.exists():
        raise DataError(
            f"{path} has no labels next to it; expected {labels_path.name}. Name the two files as "
            "MNIST's are: …-images-idx3-ubyte and …-labels-idx1-ubyte."
        )
    with open_idx(path) as images, open_idx(labels_path) as labels:
        return str(labels_path), labels.whole(images.shape[0])


def _records(parts: dict[Path, ArrayPart]) -> Iterator[Record]:
    first = 0
    for file, part in parts.items():
        with open_idx(file) as images:
            for record in part.records(images, first):
                yield record
                first += 1
