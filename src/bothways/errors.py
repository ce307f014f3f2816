"""The errors that bothways raises for its users: one line each, with the next step."""

from collections.abc import Iterable
from difflib import get_close_matches


class BothwaysError(Exception):
    """Base class of all errors that bothways raises.

    The message is one line: what is wrong, the value, what was expected, and the next step. What it
    quotes of a damaged file is shortened, and has no control characters. `exit_code` is the exit
    code of the command line. `is_reported` is set if another process, which trains together with
    this one, reports the same error.

    Examples
    --------
    >>> import bothways
    >>> try:
    ...     bothways.train("gestures.csv", hidden_sise=32)
    ... except bothways.BothwaysError as error:
    ...     print(error)
    setting 'hidden_sise' is unknown; did you mean 'hidden_size'? To list all, run: ...
    """

    exit_code = 2
    is_reported = False

    def __init__(self, message: str) -> None:
        super().__init__(shortened(printable(message)))


class ConfigError(BothwaysError, ValueError):
    """A setting is unknown, out of range, or contradicts another one."""


class ShapeError(BothwaysError, ValueError):
    """The shape of a tensor, a length or a number of classes does not fit the model or the data."""


class DataError(BothwaysError, ValueError):
    """A data file or an array cannot be read, or has unexpected content."""


class CheckpointError(BothwaysError):
    """A model or run is damaged, incomplete, of another program, or being trained."""


class DownloadError(BothwaysError):
    """A model cannot be downloaded from the model hub."""


class ExportError(BothwaysError):
    """A model cannot be exported, or an exported file does not give the answers of the model."""


class BackendError(BothwaysError, RuntimeError):
    """The requested backend or device cannot run on this machine."""


class MissingDependencyError(BothwaysError, ImportError):
    """A required optional package is not installed."""


class NonFiniteLossError(BothwaysError, ArithmeticError):
    """The training loss became NaN or infinite."""

    exit_code = 3


class ProcessError(BothwaysError, RuntimeError):
    """One of the processes that train together has failed, or cannot be reached."""


class TrainingInterrupted(BothwaysError):  # noqa: N818 - an event, not a fault
    """Training was stopped on request; its state is saved and can be resumed."""

    exit_code = 130


MOST_LISTED = 16
"""If there are more names than these, and some are similar, an error lists the similar ones."""


_MESSAGE_CHARACTERS = 1000
"""A longer message loses its middle; its end is the next step."""


def printable(text: str) -> str:
    r"""Return a text without line breaks and control characters, which a damaged file may contain.

    >>> printable("up and\ndown")
    'up and�down'
    """
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def shortened(text: str, characters: int = _MESSAGE_CHARACTERS) -> str:
    """Return a text with its beginning and its end, but not more than so many characters.

    >>> shortened("from the first to the last letter", 21)
    'from the  … st letter'
    """
    if len(text) <= characters:
        return text
    tail = (characters - 3) // 2
    head = characters - 3 - tail
    return f"{text[:head]} … {text[-tail:]}"


def counted(count: int, noun: str) -> str:
    """Return a number and its noun, in the plural unless it is 1.

    >>> counted(1, "time step"), counted(1200, "class")
    ('1 time step', '1,200 classes')
    """
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{count:,} {noun.removesuffix('y')}ies"
    return f"{count:,} {noun}{'es' if noun.endswith('s') else 's'}"


def describe_unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return a message about an unknown name, the nearest known name first.

    >>> describe_unknown("cell", "gur", ["gru", "lstm"])
    "cell 'gur' is unknown; did you mean 'gru'? Expected one of gru, lstm."
    """
    known = list(known)
    listed = ", ".join(known)
    similar = get_close_matches(name, known, n=3)
    if similar and len(known) > MOST_LISTED:
        listed = f"{', '.join(similar)}, … ({len(known)} names)"
    return f"{what} {name!r} is unknown; {suggest(name, known, 'expected one of')} {listed}."


def suggest(name: str, known: Iterable[str], rule: str) -> str:
    """Return a rule that a name breaks, after a question for the nearest known name, if any.

    >>> suggest("GUR", ["gru", "lstm"], "expected gru or lstm")
    "did you mean 'gru'? Expected gru or lstm"
    >>> suggest("tcn", ["gru", "lstm"], "expected gru or lstm")
    'expected gru or lstm'
    """
    near = nearest(name, known)
    return rule if near is None else f"did you mean {near!r}? {rule[:1].upper()}{rule[1:]}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most similar to a name in any case, or None if none is similar.

    >>> nearest("GUR", ["gru", "lstm"])
    'gru'
    """
    by_lower = {one.lower(): one for one in known}
    found = get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None
