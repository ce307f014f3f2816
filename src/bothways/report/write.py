"""Write a report: fill a template with values, as one file that needs nothing else."""

import json
import warnings
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bothways.errors import ConfigError, counted
from bothways.optional import require
from bothways.pages.static_files import static_text
from bothways.report.comparison_page import comparison_values
from bothways.report.record import read_record
from bothways.report.run_page import run_values
from bothways.storage.atomic import write_atomically
from bothways.storage.output_file import check_output_file
from bothways.training.run_data import RunData

REPORT_FILE = "report.html"

_MARK = '<meta name="generator" content="bothways'
"""Near the start of each report; see `templates/page.html`."""

_LONGEST_NAME = 100
"""Characters of the names of runs in the name of a file: file systems allow about 255 bytes."""

_PACKAGES = ("jinja2", "matplotlib")


def write_report(
    folder: str | Path,
    *,
    out: str | Path | None = None,
    force: bool = False,
    data: RunData | None = None,
) -> Path:
    """Write the report of a finished run as one HTML file, and return its path.

    Parameters
    ----------
    folder : path
        The run.
    out : path, optional
        Default: `report.html` in the run folder, which is replaced.
    force : bool
        Replace an existing file at `out`.
    data : RunData, optional
        The data of the run; default: they are read again. If that is impossible, a warning is
        issued and the report shows no single sequences.

    Raises
    ------
    CheckpointError
        If the folder is not a finished run, or is damaged.
    ConfigError
        If `out` exists and `force` is not set, or cannot be written there.
    DataError
        If `data` are not those of the run.
    MissingDependencyError
        If Jinja2 or matplotlib is not installed.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> print(write_report("runs/gestures"))
    runs/gestures/report.html
    """
    folder = Path(folder)
    path = folder / REPORT_FILE if out is None else Path(out)
    _check(path, force=force or out is None, packages=_PACKAGES)
    record = read_record(folder, data)
    if record.data is None:
        warnings.warn(f"the report shows no single sequences: {record.no_data}", stacklevel=2)
    return _write("run.html", run_values(record), path)


def write_comparison(
    folders: Sequence[str | Path], out: str | Path | None = None, *, force: bool = False
) -> Path:
    """Write a report of several finished runs side by side, and return its path.

    Parameters
    ----------
    folders : sequence of path
        Two runs or more.
    out : path, optional
        Default: a file in the current folder with the names of the runs, such as
        `comparison-0001-0002.html`; an earlier comparison there is replaced.
    force : bool
        Replace an existing file at `out`.

    Raises
    ------
    ConfigError
        If there are fewer than two runs, they cannot be compared, `out` exists and `force` is not
        set, or it cannot be written there.
    CheckpointError, MissingDependencyError, OSError
        As `write_report`; SciPy is needed too.

    Examples
    --------
    >>> print(write_comparison(["runs/gestures", "runs/gestures-lstm"], "cells.html"))
    cells.html
    """
    if len(folders) < 2:
        raise ConfigError(
            f"{counted(len(folders), 'run')} to compare; expected at least 2. Name another one."
        )
    path = _comparison_file(folders) if out is None else Path(out)
    is_replaced = out is None and _is_report(path)
    _check(path, force=force or is_replaced, packages=(*_PACKAGES, "scipy.stats"))
    records = [read_record(Path(folder)) for folder in folders]
    return _write("comparison.html", comparison_values(records), path)


def _comparison_file(folders: Sequence[str | Path]) -> Path:
    names = "-".join(Path(folder).resolve().name for folder in folders)
    return Path(f"comparison-{names[:_LONGEST_NAME]}.html")


def _is_report(path: Path) -> bool:
    """Return whether a file is a report that bothways has written."""
    return path.is_file() and _MARK in path.read_bytes()[:1000].decode(errors="replace")


def _check(path: Path, *, force: bool, packages: Sequence[str]) -> None:
    """Raise an error, before any work is done, if the report could not be written."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(
            f"the extension of output file {path} is {path.suffix!r}; expected .html. Change it."
        )
    check_output_file(path, force=force)
    for package in packages:
        require(package, extra="report", purpose="reports")


def _write(template: str, values: dict[str, Any], out: Path) -> Path:
    jinja2 = require("jinja2", extra="report", purpose="reports")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bothways.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    examples = values.get("playback_examples")
    text = environment.get_template(template).render(
        **values,
        playbacks=_json_in_html(examples) if examples else "",
        styles=static_text("style.css") + static_text("playback.css"),
        script=static_text("playback.js"),
        version=version("bothways"),
        written=f"{datetime.now():%Y-%m-%d %H:%M}",
    )
    write_atomically(out, text.encode())
    return out


def _json_in_html(values: Any) -> str:
    """Return JSON that cannot end the element that contains it."""
    return json.dumps(values, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
