"""Labels in arrays, numbers or texts: the names of their classes, and their class numbers."""

from collections.abc import Sequence

import numpy as np

from bothways.config import Target
from bothways.data.batching import IGNORED
from bothways.data.options import DataOptions
from bothways.data.readers.arrays.part import ArrayPart
from bothways.data.readers.arrays.streams import Array
from bothways.data.validation import checked_labels
from bothways.errors import BothwaysError, DataError, counted


def is_whole(array: Array) -> bool:
    """Return whether an array is of integers."""
    return bool(np.issubdtype(array.dtype, np.integer))


def class_names_of(
    labels: Sequence[tuple[str, Array]],
    classes: tuple[str, Array] | None,
    options: DataOptions,
) -> tuple[str, ...]:
    """Return the names of the classes: `classes`, or the numbers up to the largest label, or texts.

    Parameters
    ----------
    labels : sequence of (name, array)
        Of all parts; the name is for messages.
    classes : (name, array), optional
    options : DataOptions

    Raises
    ------
    DataError
        If `classes` is not 1-D, or a number is larger than `options.max_classes` allows.
    """
    if classes is not None:
        name, array = classes
        if array.ndim != 1:
            raise DataError(
                f"{name} has shape {array.shape}; expected (num_classes,). Pass one name for each "
                "class."
            )
        return tuple(str(text) for text in array)
    if not is_whole(labels[0][1]):
        texts = np.unique(np.concatenate([array.ravel() for _, array in labels]))
        return tuple(str(text) for text in texts if text != "" or options.target == "sequence")
    name, largest = max(((name, int(array.max())) for name, array in labels), key=lambda p: p[1])
    if largest >= options.max_classes:
        raise DataError(
            f"{name} holds {largest}; expected at most {options.max_classes - 1}. Number the "
            f"classes 0, 1, 2, …, or add --max-classes {largest + 1}."
        )
    return tuple(str(number) for number in range(1 + largest))


def class_numbers(
    name: str, labels: Array, class_names: tuple[str, ...], part: ArrayPart, target: Target
) -> Array:
    """Return validated class numbers, in the shape of `labels`.

    Parameters
    ----------
    name : str
        Of the array, for messages.
    labels : array
        Integers or texts.
    class_names : tuple of str
    part : ArrayPart
    target : sequence or step

    Raises
    ------
    DataError
        If there is not one label for each sequence or step, or a label is not a class.
    """
    _check_form(name, labels, part, target)
    if not is_whole(labels):
        labels = _numbers_of_texts(name, _without_padding(labels, part, ""), class_names, target)
    labels = _without_padding(labels, part, IGNORED)
    count = labels.size if target == "step" and part.offsets is None else part.num_labels(target)
    least = IGNORED if target == "step" else 0
    try:
        checked = checked_labels(labels.ravel(), count, target, name, least)
    except BothwaysError as error:
        raise DataError(str(error)) from None
    largest = int(checked.max())
    if largest >= len(class_names):
        raise DataError(
            f"{name} holds {largest} but there are {len(class_names)} classes; expected at most "
            f"{len(class_names) - 1}. Name every class."
        )
    numbers: Array = checked.numpy().reshape(labels.shape)
    return numbers


def _without_padding(labels: Array, part: ArrayPart, value: int | str) -> Array:
    """Return labels (count, time) with `value` in the padding; other labels unchanged."""
    if labels.ndim == 1 or part.lengths is None:
        return labels
    return np.where(np.arange(labels.shape[1]) < part.lengths[:, None], labels, value)


def _check_form(name: str, labels: Array, part: ArrayPart, target: Target) -> None:
    """Raise an error if labels have the wrong shape or type."""
    rule = "(count,). Pass one label for each sequence"
    if target == "sequence" and labels.ndim == 2:
        rule = "(count,). If each step has a label, add --target step"
    elif target == "step":
        rule = "(count, time)" if part.offsets is None else "(total_steps,)"
        rule = f"{rule}: a label for each step. Reshape the labels"
    if labels.ndim != 1 + (target == "step" and part.offsets is None) or not len(labels):
        raise DataError(f"{name} has shape {labels.shape}; expected {rule}.")
    if labels.ndim == 2 and (len(labels) != part.shape[0] or labels.shape[1] < part.longest):
        raise DataError(
            f"{name} has shape {labels.shape} for {counted(part.shape[0], 'sequence')} of up to "
            f"{part.longest} steps; expected (count, time). Pad the labels as the inputs."
        )
    if not is_whole(labels) and labels.dtype.kind != "U":
        raise DataError(
            f"{name} has dtype {labels.dtype}; expected integers or text. Convert the labels."
        )


def _numbers_of_texts(
    name: str, labels: Array, class_names: tuple[str, ...], target: Target
) -> Array:
    number = {text: n for n, text in enumerate(class_names)}
    if target == "step":
        number[""] = IGNORED
    texts, which = np.unique(labels, return_inverse=True)
    unknown = [str(text) for text in texts if str(text) not in number]
    if unknown:
        raise DataError(
            f"{name} holds {unknown[0]!r}, which is not in classes {', '.join(class_names)}. Add "
            "it to classes."
        )
    numbers = np.array([number[str(text)] for text in texts], dtype=np.int64)
    return numbers[which].reshape(labels.shape)
