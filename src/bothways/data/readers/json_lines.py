"""JSON lines: an object for each sequence, with its values, label and other properties.

{"values": [[0.1, 2.0], [0.2, 1.9]], "label": "walk", "sequence": "s17", "group": "anna"}
"""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from bothways.data.options import DataOptions
from bothways.data.readers.text import lines_of
from bothways.data.record import PARTS, Array, Record, Source, numbered_features
from bothways.errors import DataError, counted, suggest

_VALUES = ("values", "inputs")
_KEYS = (*_VALUES, "label", "sequence", "group", "split", "times")


def read_json_lines(path: Path, options: DataOptions, *, labeled: bool = True) -> Source:
    """Return the sequences of a `.jsonl` file.

    Each line contains `values` (time, features), or (time,) for one feature, with null for missing
    values, and a `label`: a text or an integer or, with target step, a list of them with null for
    ignored steps. `sequence` (a name), `group`, `split` and `times` (time,) are optional.

    Raises
    ------
    DataError
        If a line is not such an object.
    """
    records = _records(path, labeled, options)
    first = next(records, None)
    if first is None:
        raise DataError(f"{path} is empty; expected an object in each line. Check the path.")
    features = numbered_features(first.values.shape[1])
    return Source(features, chain([first], records))


def _records(path: Path, labeled: bool, options: DataOptions) -> Iterator[Record]:
    for index, (number, line) in enumerate(lines_of(path)):
        where = f"{path}, line {number}"
        try:
            found = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{where} is not JSON ({error.msg}, column {error.colno}); expected an object. Fix "
                "it, or copy the file again."
            ) from None
        except (ValueError, RecursionError) as error:  # very long numbers, deep nesting
            raise DataError(
                f"{where} cannot be read ({str(error).split(';')[0]}); expected an object with "
                "values. Fix it."
            ) from None
        if not isinstance(found, dict):
            raise DataError(f"{where} is {line[:40]!r}; expected an object with values. Fix it.")
        if options.group is not None and found.get("group") is None:
            raise DataError(f"{where} has no 'group'; expected one in each line. Add it.")
        unknown = [key for key in found if key not in _KEYS]
        if unknown:
            raise DataError(
                f"{where} has a key {unknown[0]!r}; {suggest(unknown[0], _KEYS, 'expected only')} "
                f"{', '.join(_KEYS)}. Rename it."
            )
        values = next((found[key] for key in _VALUES if key in found), None)
        if values is None or (labeled and found.get("label") is None):
            missing = "values" if values is None else "label"
            raise DataError(f"{where} has no {missing!r}; expected one in each line. Add it.")
        part = found.get("split")
        if part is not None and part not in PARTS:
            raise DataError(
                f"{where}: split is {part!r}; {suggest(str(part), PARTS, 'expected one of')} "
                f"{', '.join(PARTS)}. Fix it."
            )
        steps = _as_steps(values, where)
        label, step_labels = found.get("label"), None
        if options.target == "step" and isinstance(label, list):
            step_labels = _as_step_labels(label, len(steps), where)
            label = None
        yield Record(
            name=_as_text(found.get("sequence"), "sequence", where) or str(index),
            place=f"line {number}",
            values=steps,
            label=_as_text(label, "label", where),
            step_labels=step_labels,
            group=_as_text(found.get("group"), "group", where),
            part=part,
            times=_as_times(found.get("times"), len(steps), where),
            named=found.get("sequence") is not None,
        )


def _as_steps(values: Any, where: str) -> Any:
    """Return nested lists as float64 (time, features); null becomes NaN."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        reason = "lists of different lengths" if "inhomogeneous" in str(error) else str(error)
        raise DataError(
            f"{where}: values contains {reason}; expected numbers (time, features). Fix it."
        ) from None
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(
            f"{where}: values has shape {array.shape}; expected (time, features), or (time,). "
            "Fix it, or remove the line."
        )
    return array


def _as_times(times: Any, count: int, where: str) -> Array | None:
    """Return numbers or time stamps (time,), in order."""
    if times is None:
        return None
    try:
        array: Array = np.array(times, "datetime64[ns]" if _is_text(times) else np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    finite = array.dtype.kind == "M" or bool(np.isfinite(array).all())
    if array.shape != (count,) or not finite or (array[1:] < array[:-1]).any():
        raise DataError(
            f"{where}: times is {str(times)[:40]}; expected {counted(count, 'number')} or time "
            "stamps like 2026-01-31T09:30:00 in ascending order, one for each step. Fix it."
        )
    return array


def _is_text(times: Any) -> bool:
    return isinstance(times, list) and bool(times) and isinstance(times[0], str)


def _as_text(value: Any, key: str, where: str) -> str | None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"{where}: {key} is {value!r}, an unpaired surrogate; expected text. Fix it."
            ) from None
        return value
    if value is None:
        return None
    if isinstance(value, int):
        return str(value)
    advice = "Fix it."
    if key == "label" and isinstance(value, list):
        advice = "If each step has a label, add --target step."
    raise DataError(f"{where}: {key} is {str(value)[:40]}; expected text or an integer. {advice}")


def _as_step_labels(labels: list[Any], count: int, where: str) -> Array:
    """Return labels of steps as texts, "" for null."""
    if len(labels) != count:
        raise DataError(
            f"{where}: label has {counted(len(labels), 'entry')} for "
            f"{counted(count, 'step')}; expected one for each. Fix it."
        )
    return np.array([_as_text(label, "label", where) or "" for label in labels], dtype=object)
