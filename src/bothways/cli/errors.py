"""Errors and warnings in one line, the same for all commands."""

import functools
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec

import typer
from typer.exceptions import TyperException

from bothways.cli.help import CommandsInFull, GroupedHelp
from bothways.cli.process import keep_freed_memory, prints_here, wait_briefly
from bothways.errors import BothwaysError, nearest, printable

P = ParamSpec("P")

INTERRUPTED = "interrupted; everything saved so far is kept."

_ARGUMENTS = "bothways.arguments"
"""Key of the arguments of the command line in the context of a command."""


class OneLineErrors(CommandsInFull):
    """Commands whose usage errors are one line, with the nearest name if one is unknown."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options before the command."""
        ctx.meta[_ARGUMENTS] = list(args)
        with _usage_errors():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was parsed."""
        with _usage_errors():
            return super().invoke(ctx)


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except TyperException as error:
        context = getattr(error, "ctx", None)
        name = None if context is None else context.info_name
        command = "bothways" if context is None else context.command_path
        message = error.format_message().replace("Value error, ", "")
        message = _of_setting(message, context) or f"{_with_nearest(message)} See: {command} --help"
        _fail(message, error.exit_code, is_reported=not prints_here(name))


def _of_setting(message: str, context: Any) -> str | None:
    """Return a message if an unknown option is the name of a setting that --set changes."""
    found = re.match(r"No such option: (--[\w-]+)", message)
    if found is None or "settings" not in {one.name for one in context.command.params}:
        return None
    from bothways.config import Architecture, TrainConfig, known_name

    name = known_name(found[1])
    if name not in {**Architecture.model_fields, **TrainConfig.model_fields}:
        return None
    words = [part for word in context.meta[_ARGUMENTS] for part in word.split("=")]
    (value,) = words[words.index(found[1]) + 1 :][:1] or ["VALUE"]
    return f"{name} is a setting; use --set {name}={value}"


def _with_nearest(message: str) -> str:
    """Return a message of typer with the nearest choice, if it names the choices."""
    if found := re.search("'([^']*)' is not one of (.*)", message):
        near = nearest(found[1], re.findall("'([^']*)'", found[2]))
        return message if near is None else f"{message} Did you mean {near!r}?"
    return message


def registrar(
    app: typer.Typer,
) -> Callable[[str, str], Callable[[Callable[P, None]], Callable[P, None]]]:
    """Return a decorator that makes a function a command with a name and examples.

    Its errors are one line and an exit code.
    """
    return functools.partial(_command, app)


def _command(
    app: typer.Typer, name: str, examples: str
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    def register(function: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            keep_freed_memory()
            if name != "bench":  # which measures the layers as a library has them
                wait_briefly()
            try:
                with _plain_warnings(prints_here(name)):
                    function(*args, **kwargs)
            except BothwaysError as error:
                _fail(str(error), error.exit_code, is_reported=error.is_reported)
            except KeyboardInterrupt:
                _fail(INTERRUPTED, 130)
            except BrokenPipeError:
                # Python would report the closed pipe again when it flushes standard output.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(1) from None
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                notes = getattr(error, "__notes__", ["Run the command again."])
                message = f"{where}{error.strerror or error}. Fix this. {' '.join(notes)}"
                _fail(message, 2, is_reported=getattr(error, "is_reported", False))

        app.command(name, cls=GroupedHelp, epilog=f"Examples\n{examples}")(guarded)
        return guarded

    return register


def _fail(message: str, exit_code: int, *, is_reported: bool = False) -> None:
    """Print a message in one line, unless another process reports the same error, and exit."""
    if is_reported:
        time.sleep(1)  # torchrun ends all processes when one ends, but the other one has to print
    else:
        print_problem(message)
    raise typer.Exit(exit_code) from None


def problem_line(message: str) -> str:
    """Return what standard error shows of a message: one line."""
    return f"bothways: {printable(message)}"


def print_problem(message: str, before: str = "") -> None:
    """Print a message in one line to standard error, in one write: other processes print, too."""
    sys.stderr.write(f"{before}{problem_line(message)}\n")


def require_streams() -> None:
    """Exit if standard output is closed; replace a closed standard error by a null device.

    Otherwise, a file that is opened later would get what is written to them.
    """
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends
    if sys.stdout is None:
        print_problem(
            "standard output is closed; expected an open one. Redirect it, for example with "
            "> /dev/null"
        )
        sys.exit(2)


@contextmanager
def _plain_warnings(prints: bool) -> Iterator[None]:
    """Print each warning once, in one line; ScaleWarnings of all sequences count as one."""
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any) -> None:
        what = category.__name__ if category.__name__ == "ScaleWarning" else str(message)
        if prints and what not in shown:
            shown.add(what)
            print_problem(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]
        yield
