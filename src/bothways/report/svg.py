"""Matplotlib figures as inline SVG whose colors follow the page, light or dark."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from bothways.optional import require

INK, MUTED, GRID, SURFACE = "#0b0b01", "#0b0b02", "#0b0b03", "#0b0b04"
GOOD, BAD = "#0b0b05", "#0b0b06"
SERIES = tuple(f"#0b0b{n:02x}" for n in range(16, 26))
"""Colors of charts. `style.css` defines what they are, for a light and for a dark page."""

_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    SURFACE: "surface",
    GOOD: "good",
    BAD: "bad",
    **{color: f"series-{n}" for n, color in enumerate(SERIES)},
}
_STYLE = {
    "svg.hashsalt": "bothways",  # the same figure gives the same text
    "svg.fonttype": "none",  # text stays text: small and sharp
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "text.parse_math": False,  # names of classes may contain dollar signs
}


@contextmanager
def figure(width: float, height: float, **options: Any) -> Iterator[Any]:
    """Return a matplotlib figure of `width` x `height` inches in the style of the page.

    The style is set for the whole process, so that figures are not drawn in several threads.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    figures = require("matplotlib.figure", extra="report", purpose="reports")
    style = require("matplotlib.style", extra="report", purpose="reports")
    with style.context(["default", _STYLE]):  # not the settings of the user
        yield figures.Figure((width, height), layout="constrained", **options)


def to_svg(drawn: Any, description: str) -> str:
    """Return a figure as an SVG element.

    Parameters
    ----------
    drawn : matplotlib.figure.Figure
    description : str
        What the chart shows, for people who do not see it.
    """
    file = io.StringIO()
    with warnings.catch_warnings():
        # The browser chooses fonts, and long names may leave no room for an axis.
        warnings.filterwarnings("ignore", "Glyph|constrained_layout|Tight layout")
        _save(drawn, file)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)  # several figures share a page
    text = re.sub(r'style="[^"]*"', _with_variables, text)
    text = re.sub(r' d="[^"]*"', _rounded, text)
    text = re.sub(r"\s*\n\s*", " ", text)
    opening = re.match(r"<svg[^>]*>", text)
    box = re.search(r'viewBox="([^"]*)"', text)
    assert opening is not None  # matplotlib always writes both
    assert box is not None
    pixels = round(float(box[1].split()[2]) * 96 / 72)  # an inch has 72 points and 96 pixels
    label = escape(description)
    start = (
        f'<svg viewBox="{box[1]}" role="img" aria-label="{label}" class="chart" '
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'style="max-width: {pixels}px"><title>{label}</title>'
    )
    return start + text[opening.end() :]


def _save(drawn: Any, file: io.StringIO) -> None:
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    drawn.savefig(file, format="svg", metadata=metadata)


def _with_variables(style: re.Match[str]) -> str:
    """Return a style attribute with the colors and the font of the page."""
    text = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", style[0])
    for color, name in _VARIABLES.items():
        text = text.replace(color, f"var(--{name})")
    return text


def _rounded(path: re.Match[str]) -> str:
    """Return the coordinates of a path in hundredths of a point, which is enough."""
    return re.sub(r"(\.\d\d)\d+", r"\1", path[0])


def shortened(name: str, longest: int = 18) -> str:
    """Return a name, cut if it is long."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def legend_label(name: str) -> str:
    """Return a label that matplotlib does not hide: it hides those that start with _."""
    return f"\N{ZERO WIDTH SPACE}{name}" if name.startswith("_") else name
