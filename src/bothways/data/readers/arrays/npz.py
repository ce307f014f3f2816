"""`.npz` files: padded or flat arrays, with labels."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from bothways.data.options import DataOptions
from bothways.data.readers.arrays.labels import class_names_of, class_numbers, is_whole
from bothways.data.readers.arrays.part import ArrayPart, flat_part, padded_part
from bothways.data.readers.arrays.streams import Array, ArrayStream, NpzSource, open_npz
from bothways.data.record import Part, Record, Source, numbered_features
from bothways.errors import DataError, suggest

_OF_A_PART = ("inputs", "lengths", "values", "offsets", "labels", "groups")
_ROLES = (*_OF_A_PART, *(f"test_{name}" for name in _OF_A_PART), "classes")
_ALIASES = {
    "X": "inputs", "y": "labels",
    "X_train": "inputs", "x_train": "inputs", "y_train": "labels",
    "X_test": "test_inputs", "x_test": "test_inputs", "y_test": "test_labels",
}  # fmt: skip


def read_npz(path: NpzSource, options: DataOptions, *, labeled: bool = True) -> Source:
    """Read the sequences of a `.npz` file.

    It contains `inputs` (count, time, features) or (count, time), with `lengths` (count,) if rows
    are padded; or `values` (total_steps, features) with `offsets` (count + 1,). `labels` are
    integers or texts: (count,), or with target step (count, time) or (total_steps,), -1 or an empty
    text for ignored steps. Optional: `groups` (count,), integers; all of these with the prefix
    `test_`; and `classes`, the names of the labels 0, 1, 2, …. `X`, `y`, `X_train`, `y_train`,
    `X_test` and `y_test` are accepted too.

    The path may also be an open binary file; messages then contain its `str`.

    Without labels, `inputs` or `values` are read or, in a file with `X_train`, `X_test`.

    Raises
    ------
    DataError
        If an array is missing or unknown, or does not fit the others.
    """
    with open_npz(path) as found:
        streams = _by_role(path, found)
        prefixes = _prefixes(path, found, streams) if labeled else _new_data(path, found, streams)
        parts = {prefix: _layout(prefix, streams, options, labeled) for prefix in prefixes}
        classes = None
        if labeled:
            classes, parts = _with_labels(path, streams, parts, options)
    first = next(iter(parts.values()))
    return Source(
        features=numbered_features(first.input_size),
        records=_records(path, parts),
        classes=classes,
    )


def _by_role(path: NpzSource, found: Mapping[str, ArrayStream]) -> dict[str, ArrayStream]:
    """Return the arrays by role, whatever usual name they have."""
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


def _prefixes(
    path: NpzSource, found: Mapping[str, ArrayStream], streams: Mapping[str, ArrayStream]
) -> list[str]:
    """Return the prefixes of the labeled parts."""
    for name in streams:
        if name not in _ROLES:
            raise DataError(
                f"{path} holds an array {name!r}; {suggest(name, _ROLES, 'expected only')} "
                f"{', '.join(_ROLES)}. Rename it."
            )
    for names in (("inputs", "values"), ("labels",)):
        if not any(name in streams for name in names):
            raise DataError(
                f"{path} holds {', '.join(found) or 'nothing'}; expected {names[0]!r} among them. "
                "Save it with np.savez(path, inputs=…, labels=…)."
            )
    for prefix in ("", "test_"):
        padded, flat = f"{prefix}inputs", f"{prefix}values"
        if padded in streams and flat in streams:
            raise DataError(f"{path} has both {padded} and {flat}; expected one. Remove the other.")
        if (flat in streams) != (f"{prefix}offsets" in streams):
            raise DataError(
                f"{path} has only one of {flat} and {prefix}offsets; expected both. Add the other."
            )
        if f"{prefix}lengths" in streams and padded not in streams:
            raise DataError(
                f"{path} has {prefix}lengths but no {padded}; expected both or neither. Add it."
            )
    if ("test_inputs" in streams or "test_values" in streams) != ("test_labels" in streams):
        raise DataError(
            f"{path} has only one of test_inputs and test_labels; expected both. Add the other."
        )
    return ["", "test_"] if "test_labels" in streams else [""]


def _new_data(
    path: NpzSource, found: Mapping[str, ArrayStream], streams: Mapping[str, ArrayStream]
) -> list[str]:
    """Return the prefix of the arrays to predict."""
    if "X_train" in found and "test_inputs" in streams:
        return ["test_"]
    if "inputs" in streams or {"values", "offsets"} <= set(streams):
        return [""]
    raise DataError(
        f"{path} holds {', '.join(found) or 'nothing'}; expected an array 'inputs', or 'values' "
        "and 'offsets'. Save it with np.savez(path, inputs=…)."
    )


def _layout(
    prefix: str, streams: Mapping[str, ArrayStream], options: DataOptions, labeled: bool
) -> ArrayPart:
    part: Part | None = ("test" if prefix else "train") if labeled else None
    if f"{prefix}values" in streams and f"{prefix}offsets" in streams:
        return flat_part(streams[f"{prefix}values"], streams[f"{prefix}offsets"], part)
    lengths = streams.get(f"{prefix}lengths")
    return padded_part(streams[f"{prefix}inputs"], lengths, options, part)


def _with_labels(
    path: NpzSource,
    streams: Mapping[str, ArrayStream],
    parts: Mapping[str, ArrayPart],
    options: DataOptions,
) -> tuple[tuple[str, ...], dict[str, ArrayPart]]:
    """Return the class names, and the parts with labels and groups."""
    labels = {
        prefix: streams[f"{prefix}labels"].whole(part.most_labels) for prefix, part in parts.items()
    }
    names = {prefix: streams[f"{prefix}labels"].name for prefix in parts}
    for prefix, array in labels.items():
        if is_whole(array) != is_whole(labels[""]):
            raise DataError(
                f"{names[prefix]} has dtype {array.dtype}; expected that of labels, "
                f"{labels[''].dtype}. Convert one of them."
            )
    classes = None
    if "classes" in streams:
        names_of_classes = streams["classes"]
        classes = names_of_classes.name, names_of_classes.whole(options.max_classes)
    valid = [(names[p], array) for p, array in labels.items() if array.size]
    class_names = class_names_of(valid, classes, options) if valid or classes else ()
    found = {}
    for prefix, part in parts.items():
        numbers = class_numbers(names[prefix], labels[prefix], class_names, part, options.target)
        found[prefix] = replace(
            part,
            labels=numbers,
            class_names=class_names,
            groups=_groups(streams.get(f"{prefix}groups"), part),
            target=options.target,
        )
    return class_names, found


def _groups(stream: ArrayStream | None, part: ArrayPart) -> Array | None:
    if stream is None:
        return None
    count = part.num_labels("sequence")
    groups = stream.whole(count)
    if groups.shape != (count,) or not is_whole(groups):
        raise DataError(
            f"{stream.name} has shape {groups.shape} and dtype {groups.dtype}; expected integers, "
            f"({count},). Number the groups, one for each sequence."
        )
    return groups


def _records(path: NpzSource, parts: Mapping[str, ArrayPart]) -> Iterator[Record]:
    first = 0
    for prefix, part in parts.items():
        with open_npz(path) as found:
            streams = _by_role(path, found)
            stream = streams[f"{prefix}{'inputs' if part.offsets is None else 'values'}"]
            for record in part.records(stream, first):
                yield record
                first += 1
