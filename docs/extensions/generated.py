"""Pages that are written before Sphinx reads its sources.

The commands and their options come from the command line itself, the settings from their docstrings
and types, the recipes from their files, and the notebooks from `examples/`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
from sphinx.application import Sphinx

from bothways.cli.main import app as command_line
from bothways.config.described import described_settings, shown
from bothways.recipes import all_recipes, recipe_settings, recipe_text


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir)))
    return {"parallel_read_safe": True}


def write_pages(docs: Path) -> None:
    """Write all pages; files that would not change stay untouched."""
    for name, lines in (
        ("commands", commands_page()),
        ("settings", settings_page()),
        ("recipes", recipes_page()),
    ):
        write(docs / "reference" / f"{name}.md", "\n".join(lines) + "\n")
    for notebook in (docs.parent / "examples").glob("*.ipynb"):
        text = notebook.read_text().replace("](../docs/", "](../../")
        write(docs / "tutorials" / "notebooks" / notebook.name, text)


def write(path: Path, text: str) -> None:
    """Write a file unless it has this content."""
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def commands_page() -> Iterator[str]:
    """Describe all commands with their options and examples."""
    yield from ("# Commands", "", "`bothways COMMAND --help` prints the same.", "")
    group: Any = typer.main.get_command(command_line)
    for name, command in group.commands.items():
        context = command.make_context(f"bothways {name}", [], resilient_parsing=True)
        yield from (f"## {name}", "", *clean(command.help).splitlines(), "")
        yield from ("```text", command.get_usage(context).removeprefix("Usage: "), "```", "")
        for title, rows in command.described_parameters(context).items():
            yield from table((title, ""), [(f"`{option}`", text) for option, text in rows])
            yield ""
        yield from ("```console", *prompts(clean(command.epilog)), "```", "")
    title, *codes = clean(group.epilog).splitlines()
    yield from (f"## {title}", "", "```text", *codes, "```")


def settings_page() -> Iterator[str]:
    """Describe all settings of a recipe, by their docstrings."""
    yield from (
        "# Settings",
        "",
        "A recipe is made of these settings. `--set NAME=VALUE` changes one on the command line;",
        "in Python they are keyword arguments of {py:func}`bothways.train` and of the estimators.",
        "A value is JSON or plain text; `null` removes a value.",
        "`bothways settings` prints the same.",
        "",
        "`bothways train` starts with a recipe, `default` for MNIST and `time-series` for files;",
        "the defaults below count only for settings that the recipe does not set.",
        "",
    )
    of_recipes = {name: recipe_settings(name) for name in ("default", "time-series")}
    for title, settings in described_settings().items():
        yield from (f"## {title}", "")
        for setting in settings:
            facts = [setting.values, f"default `{setting.default}`"]
            facts += [
                f"recipe {name} `{shown(values[setting.name])}`"
                for name, values in of_recipes.items()
                if setting.name in values
            ]
            yield from (f"`{setting.name}`", f": {' · '.join(facts)}", "")
            yield from (f"  {setting.meaning}", "")


def recipes_page() -> Iterator[str]:
    """Show the file of each recipe."""
    yield from ("# Recipes", "", "A recipe is a TOML file with [settings](settings.md).", "")
    for recipe in all_recipes():
        text = recipe_text(recipe.name)
        yield from (f"## {recipe.name}", "", "```toml", *text.splitlines(), "```", "")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield a table in Markdown."""
    head = list(head)
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def prompts(examples: str) -> Iterator[str]:
    """Yield the example commands, each with a prompt."""
    continued = False
    for line in examples.splitlines()[1:]:
        yield f"{'    ' if continued else '$ '}{line.strip()}"
        continued = line.endswith("\\")


def clean(text: str | None) -> str:
    """Return a help text without the mark that keeps line breaks."""
    return (text or "").replace("\b\n", "").strip()
