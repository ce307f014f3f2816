"""The command line, with all commands."""

from bothways.cli.app import app
from bothways.cli.commands import deploy, look, measure, train, use  # noqa: F401 - they register commands
from bothways.cli.completion import words_of_bash
from bothways.cli.errors import require_streams

_ORDER = (
    "train",
    "evaluate",
    "predict",
    "report",
    "export",
    "serve",
    "inspect",
    "compare",
    "convert",
    "recipes",
    "settings",
    "bench",
)

app.registered_commands.sort(key=lambda command: _ORDER.index(str(command.name)))


def main() -> None:
    """Run the command line."""
    require_streams()
    with words_of_bash():
        app(prog_name="bothways")  # also if it is run as a module
