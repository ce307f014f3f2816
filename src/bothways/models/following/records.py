"""Records: one time step of one sequence, or its end."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bothways.data.offsets import LARGEST
from bothways.data.readers.tables.roles import usual_name, usual_names
from bothways.data.vocabulary import UNKNOWN
from bothways.errors import DataError
from bothways.models.manifest import Manifest

VALUES, END = "values", "end"
"""Keys of all features in one list, and of what ends a sequence."""

_NAME_LENGTH = 200  # bounds the memory of open sequences
_MEANINGS = {"true": True, "1": True, "false": False, "0": False, "": False}


@dataclass(frozen=True)
class Record:
    """What one line says.

    Parameters
    ----------
    where : str
        The line, for messages.
    sequence : str
        The name of the sequence.
    values : list of float, optional
        The features of its next time step; None if the sequence only ends.
    time : str, float or int, optional
        As it was written.
    order : float or datetime, optional
        The time, for comparisons.
    ends : bool
        Whether the sequence ends after this.
    refused : DataError, optional
        What is wrong with the time step of a record that also ends its sequence; `values` is None.
    """

    where: str
    sequence: str
    values: list[float] | None
    time: Any = None
    order: Any = None
    ends: bool = False
    refused: DataError | None = None


class RecordReader:
    """Reads the records of a model; their keys are the columns of the table in training.

    Parameters
    ----------
    manifest : Manifest
    """

    def __init__(self, manifest: Manifest) -> None:
        preprocessing = manifest.preprocessing
        reading = preprocessing.reading
        self._size = manifest.model.input_size
        self._features = preprocessing.features
        self._given = {"sequence": reading.sequence, "time": reading.time}
        self._missing = manifest.model.accepts_missing
        self._numbers = {
            feature: {token: number for number, token in enumerate(tokens, start=1)}
            for feature, tokens in reading.vocabularies.items()
        }
        self._roles: dict[tuple[str, ...], tuple[str | None, str | None]] = {}

    @property
    def needed(self) -> str:
        """The keys that every record has, for messages."""
        return f"{', '.join(self._features or (VALUES,))} and {self._sequence_names}"

    def has_needed(self, keys: Iterable[str]) -> bool:
        """Return whether records with these keys can be read."""
        keys = tuple(keys)
        has_sequence = self._role_names(keys)[0] is not None
        return has_sequence and set(self._features or (VALUES,)) <= set(keys)

    def read(self, found: Mapping[str, Any], where: str) -> Record:
        """Return the record of an object.

        Parameters
        ----------
        found : mapping
            Texts and numbers by key: the name of the sequence, the features by name or as a list
            `values`, and optionally the time, and `end`, which ends the sequence. Other keys are
            ignored. A missing value is null, an empty text, or left out.
        where : str
            For messages.

        Raises
        ------
        DataError
            If something is missing or wrong, unless the record ends its sequence, see `Record`.
        """
        sequence, time = self._role_names(tuple(found))
        name = None if sequence is None else found[sequence]
        if name in (None, "") or not isinstance(name, str | int) or isinstance(name, bool):
            what = "no sequence" if name in (None, "") else f"the sequence {name!r}"
            raise DataError(
                f"{where} has {what}; expected its name, a text or an integer, as "
                f"{self._sequence_names}. Add it."
            )
        name = str(name)
        if len(name) > _NAME_LENGTH or not _is_text(name):
            raise DataError(
                f"{where} has the sequence {name[:40]!r}; expected a name of at most "
                f"{_NAME_LENGTH} characters of Unicode. Rename it."
            )
        ends = END not in self._features and self._ends(found.get(END), where)
        try:
            values = self._own_values(found, where, may_be_absent=ends)
            when = None if time is None else found[time]
            return Record(where, name, values, *_time(when, where), ends)
        except DataError as error:
            if not ends:
                raise
            return Record(where, name, None, ends=True, refused=error)

    @property
    def _sequence_names(self) -> str:
        given = self._given["sequence"]
        return f"one of {', '.join(usual_names('sequence'))}" if given is None else repr(given)

    def _own_values(
        self, found: Mapping[str, Any], where: str, *, may_be_absent: bool
    ) -> list[float] | None:
        """Return the features of a time step, or None if there are none and this is allowed."""
        own = [found.get(key) for key in self._features] or None
        listed = found.get(VALUES) if VALUES not in self._features else None
        if listed is not None:
            own = listed if isinstance(listed, list) else [listed]
        if may_be_absent and (own is None or all(cell in (None, "") for cell in own)):
            return None
        return self._values(own, where)

    def _role_names(self, keys: tuple[str, ...]) -> tuple[str | None, str | None]:
        """Return the keys of the sequence and the time."""
        roles = self._roles.get(keys)
        if roles is None:
            if len(self._roles) > 1000:  # of a sender that changes its keys again and again
                self._roles.clear()
            free = [key for key in keys if key not in self._features]
            sequence, time = (
                usual_name(role, free) if given is None else given if given in keys else None
                for role, given in self._given.items()
            )
            roles = self._roles[keys] = sequence, time
        return roles

    def _values(self, own: list[Any] | None, where: str) -> list[float]:
        names = self._features or [f"values[{n}]" for n in range(self._size)]
        if own is None or len(own) != self._size:
            count = "no values" if own is None else f"{len(own)} values"
            raise DataError(
                f"{where} has {count}; expected {self._size}, the features of one time step. Add "
                "them, or drop the line."
            )
        return [self._value(name, cell, where) for name, cell in zip(names, own, strict=True)]

    def _value(self, name: str, cell: Any, where: str) -> float:
        numbers = self._numbers.get(name)
        if numbers is not None:
            return float(numbers.get("" if cell is None else str(cell), UNKNOWN))
        value = _number(cell)
        if value is None or math.isinf(value) or abs(value) > LARGEST:
            raise DataError(f"{where}: {name} is {str(cell)[:40]!r}; expected a number. Fix it.")
        if math.isnan(value) and not self._missing:
            raise DataError(
                f"{where}: {name} is missing; expected a number, because the model was trained "
                "without missing values. Fill it in, or drop the line."
            )
        return value

    @staticmethod
    def _ends(cell: Any, where: str) -> bool:
        found = truth("" if cell is None else str(cell))
        if found is None:
            raise DataError(
                f"{where}: {END} is {str(cell)[:40]!r}; expected true or false. Fix it."
            )
        return found


def truth(text: str) -> bool | None:
    """Return what a text says: true or 1, false, 0 or nothing; None if it is another one."""
    return _MEANINGS.get(text.lower())


def _is_text(name: str) -> bool:
    """Return whether a name can be written: it contains no half of a surrogate pair."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(cell: Any) -> float | None:
    """Return a cell as a number, NaN if it is missing, None if it is something else."""
    if cell is None or cell == "":
        return math.nan
    if isinstance(cell, bool) or not isinstance(cell, str | float | int):
        return None
    if isinstance(cell, str) and "_" in cell:  # Python's own notation
        return None
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return None


def _as_written(cell: str | float) -> str | float:
    """Return a number that a text contains, whole if it is written so."""
    try:
        return int(cell) if isinstance(cell, str) else cell
    except ValueError:
        return float(cell)


def _time(cell: Any, where: str) -> tuple[Any, Any]:
    """Return a time as it was written, and for comparisons."""
    if cell is None or cell == "":
        return None, None
    number = _number(cell)
    if number is not None and math.isfinite(number):
        return _as_written(cell), number
    try:
        return cell, datetime.fromisoformat(cell)
    except (TypeError, ValueError):
        raise DataError(
            f"{where}: time is {str(cell)[:40]!r}; expected a number, or a time stamp like "
            "2026-01-31T09:30:00. Fix it."
        ) from None
