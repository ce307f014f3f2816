"""Write a report: fill a template with values, as one file that needs nothing else."""

import json
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bothways.errors import ConfigError
from bothways.optional import require
from bothways.pages.static_files import static_text
from bothways.report.comparison_page import comparison_values
from bothways.report.record import read_record
from bothways.report.run_page import run_values
from bothways.storage.atomic import write_atomically
from bothways.training.run_data import RunData

REPORT_FILE = "report.html"


def write_report(
    folder: str | Path, *, out: str | Path | None = None, data: RunData | None = None
) -> Path:
    """Write the report of a finished run as one HTML file, and return its path.

    Parameters
    ----------
    folder : path
        The run.
    out : path, optional
        Default: `report.html` in the run folder.
    data : RunData, optional
        The data of the run; default: they are read again. If that is impossible, the report says
        so and shows no single sequences.

    Raises
    ------
    CheckpointError
        If the folder is not a finished run, or is damaged.
    MissingDependencyError
        If Jinja2 or matplotlib is not installed.
    OSError
        If the file cannot be written.
    """
    folder = Path(folder)
    values = run_values(read_record(folder, data))
    return _write("run.html", values, folder / REPORT_FILE if out is None else Path(out))


def write_comparison(folders: Sequence[str | Path], out: str | Path) -> Path:
    """Write a report of several finished runs side by side, and return its path.

    Parameters
    ----------
    folders : sequence of path
        Two runs or more.
    out : path

    Raises
    ------
    ConfigError
        If there are fewer than two runs, or they cannot be compared.
    CheckpointError, MissingDependencyError, OSError
        As `write_report`; SciPy is needed too.
    """
    if len(folders) < 2:
        raise ConfigError(f"{len(folders)} runs to compare; expected at least 2. Name another one.")
    records = [read_record(Path(folder)) for folder in folders]
    return _write("comparison.html", comparison_values(records), Path(out))


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
    return json.dumps(values, separators=(",", ":")).replace("<", "\\u003c")
