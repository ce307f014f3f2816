"""Write a report: fill a template with values, as one file that needs nothing else."""

import json
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bothways.optional import require
from bothways.pages.static_files import static_text
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
