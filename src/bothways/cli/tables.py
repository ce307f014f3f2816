"""Tables and lists of facts for the terminal."""

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

_NAMES_SHOWN = 8


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """Print a table; numbers are aligned to the right."""
    rows = [[str(value) for value in row] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for n, column in enumerate(columns):
        is_number = all(row[n].lstrip("+-")[:1].isdigit() or row[n] in ("", "-") for row in rows)
        table.add_column(column, justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False)
    width = max(console.width, 200) if not console.is_terminal else console.width
    Console(highlight=False, width=width).print(table)


def print_paragraph(text: str, indent: str = "") -> None:
    """Print a text; on a terminal, in lines of whole words that begin with `indent`."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else len(indent + text) + 1
    print(
        textwrap.fill(
            text, width, break_on_hyphens=False, initial_indent=indent, subsequent_indent=indent
        )
    )


def print_facts(facts: dict[str, str]) -> None:
    """Print names and values in two columns; on a terminal, long values continue below."""
    indent = max(len(name) for name in facts) + 2
    room = shutil.get_terminal_size().columns - indent if sys.stdout.isatty() else 0
    for name, value in facts.items():
        lines = textwrap.wrap(value, room) if room > 0 else [value]
        print(f"{name:<{indent}}" + f"\n{'':{indent}}".join(lines))


def first_few(names: Sequence[str]) -> str:
    """Return the first names of many, separated by commas."""
    shown = [name or "(empty)" for name in names[:_NAMES_SHOWN]]
    return ", ".join(shown + ["…"] * (len(names) > len(shown)))
