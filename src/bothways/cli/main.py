"""The command line, with all commands."""

from bothways.cli.app import app
from bothways.cli.commands import look, measure, serve, train, use  # noqa: F401 - they register commands

_ORDER = (
    "train", "evaluate", "predict", "serve", "inspect", "compare", "convert", "recipes", "bench",
)  # fmt: skip

app.registered_commands.sort(key=lambda command: _ORDER.index(str(command.name)))


def main() -> None:
    """Run the command line."""
    app()
