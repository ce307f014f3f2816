"""Open a dataset by its name or path."""

from dataclasses import replace
from pathlib import Path

from bothways.data.building.collecting import collect
from bothways.data.building.repeated_times import RepeatedTimes
from bothways.data.builtin.mnist import mnist
from bothways.data.dataset import Dataset
from bothways.data.duplicates import report_duplicates
from bothways.data.options import DataOptions
from bothways.data.problems import axes_warning
from bothways.data.readers.locations import Location, absolute, locate
from bothways.data.readers.registry import KNOWN_FORMATS, for_new_data, open_source
from bothways.data.record import Part, Source
from bothways.data.splitting import with_test_part
from bothways.errors import DataError, suggest

_BUILT_IN = {"mnist": mnist}


def is_built_in(source: str) -> bool:
    """Return whether `source` is the name of a dataset in this package."""
    return source in _BUILT_IN


def find_source(source: str) -> str:
    """Return the name of a built-in dataset, an absolute path or glob, or a URI.

    Raises
    ------
    DataError
        If `source` is neither a built-in dataset nor existing data.
    """
    if source in _BUILT_IN:
        return source
    location = locate(source)
    if isinstance(location, Path) and not location.exists():
        rule = f"expected {', '.join(_BUILT_IN)}, or {KNOWN_FORMATS}"
        raise DataError(
            f"data {source!r} is not found; {suggest(source, _like(source), rule)}. Check the path."
        )
    return absolute(source)


def _like(source: str) -> list[str]:
    """Return the built-in datasets, and the paths beside a path that does not exist."""
    folder = Path(source).parent
    beside = sorted(folder.iterdir()) if folder.is_dir() else []
    return [*_BUILT_IN, *map(str, beside)]


def options_for(source: str, reading: DataOptions) -> DataOptions:
    """Return the options with which a model reads `source`: those with a meaning for its format."""
    if is_built_in(source):
        return reading.without_columns()
    return for_new_data(locate(source, reading.sequence), reading)


def open_dataset(
    source: str,
    options: DataOptions | None = None,
    classes: tuple[str, ...] | None = None,
    *,
    missing: bool = True,
) -> Dataset:
    """Return a labeled dataset.

    Parameters
    ----------
    source : str
        "mnist", or a path; for CSV and Parquet files also a glob (``parts/*.csv``) or a URI (s3://,
        gs://, file://).
    options : DataOptions, optional
        How to read and split it.
    classes : tuple of str, optional
        The only classes that may occur, in the order of a model's; default: those that occur.
    missing : bool
        Whether values may be missing.

    Raises
    ------
    DataError
        If the dataset does not exist, or cannot be read.

    Examples
    --------
    >>> dataset = open_dataset("mnist")
    >>> dataset.train
    LabeledSequences(60000 of 28 steps, input_size=28)
    """
    options = options or DataOptions()
    found = find_source(source)
    if found in _BUILT_IN:
        return _open_built_in(found, options)
    location = locate(found, options.sequence)
    repeated = RepeatedTimes()
    main = repeated.watch(open_source(location, options))
    named: dict[Part, str | None]
    named = {"validation": options.validation, "test": _test_file(location, options)}
    others: dict[Part, str] = {
        part: find_source(file) for part, file in named.items() if file is not None
    }
    if options.test is None and "test" in others:
        main.notes.append(f"guessed: test data {Path(others['test']).name}, next to it")

    def open_other(file: str, options: DataOptions) -> Source:
        return repeated.watch(open_source(locate(file, options.sequence), options))

    name, path = location.name, str(location)
    dataset = collect(name, path, main, options, others, open_other, classes, missing=missing)
    dataset = replace(dataset, warnings=(*repeated.warnings, *_swapped_axes(dataset)))
    return report_duplicates(replace(dataset, drop_copies=options.drop_copies))


def _open_built_in(name: str, options: DataOptions) -> Dataset:
    for option, role in DataOptions.roles():
        value = getattr(options, option)
        if value and (role.is_column or option == "ignore"):
            text = ",".join(value) if isinstance(value, tuple) else value
            raise DataError(
                f"{name} has no columns, so --{option} {text} has no meaning; expected a table. "
                "Omit it."
            )
    if options.target == "step":
        raise DataError(
            f"{name} has one label for each sequence; expected --target sequence. Omit --target."
        )
    if options.by_time:
        raise DataError(f"{name} has no times; expected them for --by-time. Omit --by-time.")
    if options.window or options.test or options.validation:
        raise DataError(f"{name} has a test set; expected no --window and no files. Omit them.")
    return with_test_part(_BUILT_IN[name](), options.test_fraction, options.split_seed)


def _swapped_axes(dataset: Dataset) -> tuple[str, ...]:
    """Return a warning if the axes of arrays look swapped; features with names cannot be."""
    warning = None if dataset.features else axes_warning(dataset.train)
    return () if warning is None else (warning,)


def _test_file(location: Location, options: DataOptions) -> str | None:
    """Return the file of the test set: the option, or X_TEST.ts of X_TRAIN.ts in archives."""
    if options.test is not None or not isinstance(location, Path):
        return options.test
    if not location.stem.endswith("_TRAIN"):
        return None
    name = location.stem.removesuffix("_TRAIN") + "_TEST" + location.suffix
    beside = location.with_name(name)
    return str(beside) if beside.exists() and not options.test_fraction else None
