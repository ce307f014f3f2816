"""Sequences in the body of a request: JSON, CSV, a `.npz` file or a picture."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from pydantic import ValidationError

from bothways.data.offsets import subtract_offsets
from bothways.data.options import DataOptions
from bothways.data.readers.arrays.npz import read_npz
from bothways.data.readers.images import read_digit
from bothways.errors import DataError, counted
from bothways.serve.errors import RequestError
from bothways.serve.requests.csv_text import csv_rows
from bothways.serve.requests.forms import RequestForm, listed
from bothways.serve.requests.zip_files import UploadedFile, check_archive
from bothways.serve.rows import Floats

JSON = "application/json"
CSV = "text/csv"
IMAGE_TYPES = ("image/png", "image/jpeg")
NPZ_TYPES = ("application/x-npz", "application/octet-stream")
MOST_PIXELS = 4_000_000
"""Larger pictures are not decoded."""


def reader_of(content_type: str, form: RequestForm, options: DataOptions) -> "Reader":
    """Return the function that reads a body of this content type.

    Parameters
    ----------
    content_type : str
        The header; parameters such as a charset are ignored.
    form : RequestForm
    options : DataOptions
        How the model reads new data.

    Raises
    ------
    RequestError
        415 if the type is unknown.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == JSON:
        return partial(read_json, form=form)
    if kind == CSV:
        return partial(read_csv, form=form)
    if kind in NPZ_TYPES:
        return partial(read_npz_body, form=form, options=options)
    if kind in IMAGE_TYPES and form.reads_digits:
        return partial(read_picture, form=form)
    raise RequestError(
        415,
        f"Content-Type is {kind[:100]!r}; expected {', '.join(content_types(form))}. Set the "
        "header to what the body contains.",
    )


def content_types(form: RequestForm) -> tuple[str, ...]:
    """Return the content types that requests to a model may have."""
    return (JSON, CSV, *NPZ_TYPES, *(IMAGE_TYPES if form.reads_digits else ()))


Reader = Callable[[bytes], Sequence[Floats]]


def read_json(body: bytes, form: RequestForm) -> list[Floats]:
    """Return the sequences of a JSON body, float32 arrays (time_i, features).

    Raises
    ------
    RequestError
        422 if it is not JSON, or does not have the form.
    """
    try:
        content = form.body.model_validate_json(body)
    except ValidationError as error:
        raise _unreadable(_one_line(error, form)) from None
    given = content.model_fields_set
    if len(given) != 1:
        raise _unreadable(
            f"the body has {' and '.join(sorted(given)) or 'no sequence'}; expected either "
            "'sequence' or 'sequences'. Send one of them."
        )
    only = "sequence" in given
    sequences = [content.sequence] if only else content.sequences  # type: ignore[attr-defined]
    places = ["sequence"] if only else [f"sequences[{n}]" for n in range(len(sequences))]
    _check_steps(map(len, sequences), form)
    return [_converted(rows, place, form) for rows, place in zip(sequences, places, strict=True)]


def read_csv(body: bytes, form: RequestForm) -> list[Floats]:
    """Return the one sequence of a CSV text, float32 array (time, features).

    Raises
    ------
    RequestError
        As `csv_rows`; and 422 if a value is not finite.
    """
    rows = csv_rows(body, form)
    _check_steps([len(rows)], form)
    return [_converted(rows, "the sequence", form)]


def read_picture(body: bytes, form: RequestForm) -> list[Floats]:
    """Return the digit of a PNG or JPEG file, float32 array (28, 28), as `bothways predict` does.

    Raises
    ------
    RequestError
        422 if it is not an image, is empty, or has too many pixels.
    """
    try:
        digit = read_digit(UploadedFile(body), MOST_PIXELS)
    except DataError as error:
        raise _unreadable(str(error)) from None
    return [digit.pixels]


def read_npz_body(body: bytes, form: RequestForm, options: DataOptions) -> list[Floats]:
    """Return the sequences of a `.npz` file, float32 arrays (time_i, features).

    Nothing is unpickled. The arrays are those that `bothways predict` reads.

    Raises
    ------
    RequestError
        422 if it is not such a file, or has other features; 413 if its arrays exceed a limit.
    """
    check_archive(body, form.limits.body_bytes)
    found: list[Any] = []
    try:
        source = read_npz(UploadedFile(body), options, labeled=False)
        if len(source.features) != len(form.features):
            raise _unreadable(
                f"the .npz file has {len(source.features)} features per time step; expected "
                f"{len(form.features)}, as in training. Check the order of the axes."
            )
        for record in source.records:
            found.append(record.values)
            if len(found) > form.limits.sequences:
                break
    except DataError as error:
        raise _unreadable(str(error)) from None
    if len(found) > form.limits.sequences:
        raise _too_large("sequences", len(found), form.limits.sequences)
    if not found:
        raise _unreadable("the .npz file has no sequence; expected at least one. Add arrays.")
    _check_steps(map(len, found), form)
    return [_checked(values, f"sequences[{n}]", form) for n, values in enumerate(found)]


def _converted(rows: Sequence[Sequence[Any]], place: str, form: RequestForm) -> Floats:
    """Return time steps of JSON as an array; `rows` have the right form already."""
    if form.vocabularies:
        rows = [
            [
                form.vocabularies[n].get(value, 0) if n in form.vocabularies else value
                for n, value in enumerate(row)
            ]
            for row in rows
        ]
    return _checked(np.array(rows, dtype=np.float64), place, form)  # None becomes NaN


def _checked(values: Any, place: str, form: RequestForm) -> Floats:
    """Return the steps of a sequence as float32, less the offsets of the model."""
    if len(values) > form.longest:
        raise _unreadable(
            f"{place} has {len(values)} time steps; expected at most {form.longest}. Cut it."
        )
    floats: Floats = subtract_offsets(values, form.offsets)
    bad = np.isinf(floats) if form.accepts_missing else ~np.isfinite(floats)
    if bad.any():
        step, feature = (int(n) for n in np.argwhere(bad)[0])
        what = "missing (NaN)" if np.isnan(floats[step, feature]) else "infinite in float32"
        raise _unreadable(
            f"{place}: {form.features[feature]!r} is {what} at step {step}; expected finite "
            "numbers. Correct or remove the sequence."
        )
    return floats


def _check_steps(lengths: Any, form: RequestForm) -> None:
    steps = sum(lengths)
    if steps > form.limits.steps:
        raise _too_large("time steps", steps, form.limits.steps)


def _unreadable(message: str) -> RequestError:
    return RequestError(422, message)


def _too_large(what: str, count: int, limit: int) -> RequestError:
    return RequestError(
        413,
        f"the request has more {what} than {limit:,}, the limit of this server; expected at most "
        "that. Divide it into several requests.",
    )


def _one_line(error: ValidationError, form: RequestForm) -> str:
    """Return the first problem of a body as one line."""
    first = error.errors(include_url=False, include_context=True)[0]
    kind, context = first["type"], first.get("ctx", {})
    if kind in ("too_long", "too_short", "missing"):
        depth = 2 if first["loc"][0] == "sequence" else 3
        step = first["loc"][:depth]  # of a tuple, loc continues with the missing value
        if len(step) == depth:
            place = _place(step)
            return (
                f"{place} has {counted(len(first['input']), 'value')}; expected "
                f"{len(form.features)}, the features {listed(form.features)}. Correct it."
            )
    place = _place(first["loc"])
    if kind == "json_invalid":
        reason = str(context.get("error", first["msg"]))
        return f"the body is not JSON: {reason}; expected a JSON object. Correct the body."
    if kind == "extra_forbidden":
        return f"the body has a key {place!r}; expected 'sequence' or 'sequences' only. Remove it."
    if kind in ("too_long", "too_short"):
        bound = "max_length" if kind == "too_long" else "min_length"
        word = "at most" if kind == "too_long" else "at least"
        items = counted(
            context["actual_length"], "sequence" if place == "sequences" else "time step"
        )
        advice = "Divide it." if kind == "too_long" else "Add at least one."
        return f"{place} has {items}; expected {word} {context[bound]}. {advice}"
    value = json.dumps(first["input"], default=str)[:60]
    rule = first["msg"].removeprefix("Input should be ").partition(", unable to")[0]
    return f"{place} is {value}; expected {rule}. Correct the value."


def _place(loc: Sequence[int | str]) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else str(part) for part in loc)
    return place.partition("[function")[0][:100] or "the body"
