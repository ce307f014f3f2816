"""Data sets by name or path: one reader a format."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bothways.data.builder import collect
from bothways.data.builtin.mnist import mnist
from bothways.data.dataset import Dataset, check_values
from bothways.data.duplicates import report_duplicates
from bothways.data.options import DataOptions
from bothways.data.readers.labelled import as_source, read_idx, read_npy, read_npz
from bothways.data.readers.registry import (
    KNOWN_ENDINGS,
    has_columns,
    open_records,
    record_reader,
)
from bothways.data.readers.unlabelled import Piece, check_readable, read_unlabelled
from bothways.data.record import Array, Part, Source
from bothways.data.splitting import hold_out, with_test_part
from bothways.data.summary import FeatureSummary, RepeatedTimes, axes_warning, inspect_dataset
from bothways.errors import DataError

__all__ = [
    "Array",
    "DataOptions",
    "Dataset",
    "FeatureSummary",
    "Piece",
    "check_readable",
    "check_values",
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
    if found in _BUILT_IN:
        _refuse_columns(source, options)
        if options.target == "step":
            raise DataError(f"{found} has one label for each sequence; omit --target step.")
        return with_test_part(_BUILT_IN[found](), options.test_fraction, options.split_seed)
    if record_reader(path) is None:
        _refuse_columns(source, options)
        if not (options.window or options.test or options.validation):
            dataset = _array_reader(path)(path, options)
            dataset = replace(dataset, warnings=_swapped_axes(dataset))
            dataset = with_test_part(dataset, options.test_fraction, options.split_seed)
            return report_duplicates(replace(dataset, drop_copies=options.drop_copies))
    repeated = RepeatedTimes()
    main = repeated.watch(_source_of(path, options))
    named: dict[Part, str | None]
    named = {"validation": options.validation, "test": _test_file(path, options)}
    others: dict[Part, Path] = {
        part: Path(find_source(file)) for part, file in named.items() if file is not None
    }
    if options.test is None and "test" in others:
        main.notes.append(f"guessed: test data {others['test'].name}, next to it")

    def open_other(file: Path, options: DataOptions) -> Source:
        return repeated.watch(_source_of(file, options))

    dataset = collect(path.name, path, main, options, others, open_other, classes, missing=missing)
    dataset = replace(dataset, warnings=(*repeated.warnings, *_swapped_axes(dataset)))
    return report_duplicates(replace(dataset, drop_copies=options.drop_copies))


def _swapped_axes(dataset: Dataset) -> tuple[str, ...]:
    """Return a warning if an array's axes look swapped; named features cannot be swapped."""
    warning = None if dataset.features else axes_warning(dataset.train)
    return () if warning is None else (warning,)


def _source_of(path: Path, options: DataOptions) -> Source:
    """Return the records of a labeled file of any format."""
    if record_reader(path) is not None:
        return open_records(path, options)
    return as_source(_array_reader(path)(path, options))


def _array_reader(path: Path) -> Callable[[Path, DataOptions], Dataset]:
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
    """Raise DataError for options that need columns or times."""
    for name, role in DataOptions.roles():
        given = getattr(options, name)
        if given and (role.is_column or name == "ignore"):
            text = ",".join(given) if isinstance(given, tuple) else given
            raise DataError(
                f"{source} holds arrays, so --{name} {text} has no meaning; expected a table. "
                "Omit it."
            )
    if options.by_time:
        raise DataError(f"{source} holds arrays without times; expected times. Omit --by-time.")
    if source in _BUILT_IN and (options.window or options.test or options.validation):
        raise DataError(
            f"{source} has a test part of its own; expected no --window and no files. Omit them."
        )
