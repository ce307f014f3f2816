"""Data sets by name or path: one reader a format."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bothways.config import Target
from bothways.data.builder import collect
from bothways.data.builtin.mnist import mnist
from bothways.data.dataset import Dataset, check_values, copies_note, copies_of, mind_copies
from bothways.data.options import DataOptions
from bothways.data.readers.labelled import read_idx, read_npy, read_npz
from bothways.data.readers.registry import (
    KNOWN_ENDINGS,
    RECORD_READERS,
    has_columns,
    open_records,
    record_reader,
)
from bothways.data.readers.unlabelled import Piece, check_readable, read_unlabelled
from bothways.data.record import Array, Part, Source
from bothways.data.splitting import hold_out, with_test_part
from bothways.data.summary import FeatureSummary, RepeatedTimes, inspect_dataset
from bothways.errors import DataError

__all__ = [
    "Array",
    "DataOptions",
    "Dataset",
    "FeatureSummary",
    "Piece",
    "check_readable",
    "check_values",
    "copies_note",
    "copies_of",
    "find_source",
    "has_columns",
    "hold_out",
    "holds_arrays",
    "inspect_dataset",
    "is_built_in",
    "open_dataset",
    "read_unlabelled",
]

_BUILT_IN = {"mnist": mnist}


def is_built_in(source: str) -> bool:
    """Return whether `source` names a data set that ships in this package."""
    return source in _BUILT_IN


def holds_arrays(source: str) -> bool:
    """Return whether `source` has no columns, so that options of tables mean nothing for it."""
    return is_built_in(source) or record_reader(Path(source)) is None


def find_source(source: str) -> str:
    """Return what names the data set from any folder: "mnist", or an absolute path.

    Raises
    ------
    DataError
        If `source` is neither a built-in data set nor there.
    """
    if source in _BUILT_IN:
        return source
    if not Path(source).exists():
        raise DataError(
            f"data {source!r} is not found; expected {', '.join(_BUILT_IN)}, or a file or folder: "
            f"{KNOWN_ENDINGS}. Check the path."
        )
    return str(Path(source).resolve())


def open_dataset(
    source: str,
    options: DataOptions | None = None,
    classes: tuple[str, ...] | None = None,
    *,
    missing: bool = True,
) -> Dataset:
    """Return the labelled data set that `source` names.

    Parameters
    ----------
    source : str
        "mnist", or the path of a file or folder.
    options : DataOptions, optional
        How to understand and to split it.
    classes : tuple of str, optional
        The only classes that may occur, in the order of a model's.
    missing : bool
        Whether values may be missing.

    Raises
    ------
    DataError
        If there is no such data set, or it cannot be used.
    """
    options = options or DataOptions()
    found = find_source(source)
    path = Path(found)
    if found not in _BUILT_IN and record_reader(path) is not None:
        repeated = RepeatedTimes()
        main = repeated.watch(open_records(path, options))
        named: dict[Part, str | None]
        named = {"validation": options.validation, "test": _test_file(path, options)}
        others: dict[Part, Path] = {
            part: Path(find_source(file)) for part, file in named.items() if file is not None
        }
        if options.test is None and "test" in others:
            main.notes.append(f"guessed: test data {others['test'].name}, beside it")

        def open_other(file: Path, options: DataOptions) -> Source:
            return repeated.watch(_records_of(file, options))

        dataset = collect(
            path.name, path, main, options, others, open_other, classes, missing=missing
        )
        dataset = replace(dataset, warnings=repeated.warnings)
        return mind_copies(replace(dataset, drop_copies=options.drop_copies))
    _refuse_columns(source, options)
    if found in _BUILT_IN:
        if options.target == "step":
            raise DataError(f"{found} has one label a sequence; leave --target step out.")
        return with_test_part(_BUILT_IN[found](), options.test_fraction, options.split_seed)
    dataset = _array_reader(path)(path, options.target)
    dataset = with_test_part(dataset, options.test_fraction, options.split_seed)
    return mind_copies(replace(dataset, drop_copies=options.drop_copies))


def _records_of(path: Path, options: DataOptions) -> Source:
    if record_reader(path) is None:
        raise DataError(
            f"{path} has the ending {path.suffix!r}; expected {', '.join(RECORD_READERS)} or a "
            "folder. Convert it."
        )
    return open_records(path, options)


def _array_reader(path: Path) -> Callable[[Path, Target], Dataset]:
    start = check_readable(path)
    if start.startswith((b"\0\0", b"\x1f\x8b")):
        return read_idx
    if path.suffix.lower() == ".npz" or start.startswith(b"PK"):
        return read_npz
    if path.suffix.lower() == ".npy" or start.startswith(b"\x93NUMPY"):
        return read_npy
    raise DataError(
        f"{path} has the ending {path.suffix!r}; expected {KNOWN_ENDINGS}. "
        "Convert it, or rename it."
    )


def _test_file(path: Path, options: DataOptions) -> str | None:
    """Return the file of the test part: the one named, or the archive's X_TEST.ts of X_TRAIN.ts."""
    if options.test is not None or not path.stem.endswith("_TRAIN"):
        return options.test
    beside = path.with_name(path.stem.removesuffix("_TRAIN") + "_TEST" + path.suffix)
    return str(beside) if beside.exists() and not options.test_fraction else None


def _refuse_columns(source: str, options: DataOptions) -> None:
    """Refuse options that arrays have no columns or files for."""
    names = ("sequence", "time", "label", "group", "split", "features", "window", "validation")
    for name in (*names, "ignore", "categorical"):
        given = getattr(options, name)
        if given:
            text = ",".join(given) if isinstance(given, tuple) else given
            raise DataError(
                f"{source} holds arrays, so --{name} {text} means nothing; expected a table. "
                "Leave it out."
            )
    if options.test is not None or options.by_time:
        raise DataError(
            f"{source} holds arrays; expected its test part in it, or --test with a fraction. "
            "Leave --test FILE and --by-time out."
        )
