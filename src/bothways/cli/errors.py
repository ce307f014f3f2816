"""Errors in one line, warnings and signals, the same for all commands."""

import functools
import os
import re
import signal
import sys
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
        command = "bothways" if context is None else context.command_path
        message = error.format_message().replace("Value error, ", "")
        _fail(
            _of_setting(message, context) or f"{_with_nearest(message)} See: {command} --help",
            error.exit_code,
        )


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
            if name != "train" and not prints_here():
                raise typer.Exit(0)  # the first process does it
            keep_freed_memory()
            if name != "bench":  # which measures the layers as a library has them
                wait_briefly()
            try:
                with _plain_warnings():
                    function(*args, **kwargs)
            except BothwaysError as error:
                if error.is_reported:
                    raise typer.Exit(error.exit_code) from None
                _fail(str(error), error.exit_code)
            except KeyboardInterrupt:
                _fail("interrupted; everything saved so far is kept.", 130)
            except BrokenPipeError:
                # Python would report the closed pipe again when it flushes standard output.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(1) from None
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                resume = "; to continue a run that had begun: bothways train FOLDER --resume"
                _fail(
                    f"{where}{error.strerror or error}. Fix this and run the command again"
                    f"{resume if name == 'train' else '.'}",
                    2,
                )

        app.command(name, cls=GroupedHelp, epilog=f"Examples\n{examples}")(guarded)
        return guarded

    return register


def _fail(message: str, exit_code: int) -> None:
    print(problem_line(message), file=sys.stderr)
    raise typer.Exit(exit_code)


def problem_line(message: str) -> str:
    """Return what standard error shows of a message: one line."""
    return f"bothways: {printable(message)}"


def require_streams() -> None:
    """Exit if standard output is closed; replace a closed standard error by a null device.

    Otherwise, a file that is opened later would get what is written to them.
    """
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends
    if sys.stdout is None:
        print(
            problem_line(
                "standard output is closed; expected an open one. Redirect it, for example with "
                "> /dev/null"
            ),
            file=sys.stderr,
        )
        sys.exit(2)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print each warning once, in one line; ScaleWarnings of all sequences count as one."""
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any) -> None:
        if not prints_here():
            return
        what = category.__name__ if category.__name__ == "ScaleWarning" else str(message)
        if what not in shown:
            shown.add(what)
            print(f"bothways: warning: {printable(str(message))}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]
        yield


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop; a second Ctrl-C stops at once."""
    requested = False

    def request(*_: Any) -> None:
        nonlocal requested
        requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if prints_here():
            print("\nbothways: stopping …", file=sys.stderr)

    with on_signal(request):
        yield lambda: requested


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt at SIGTERM too."""
    with on_signal(signal.default_int_handler):
        yield


@contextmanager
def on_signal(handle: Callable[..., None]) -> Iterator[None]:
    """Call `handle` at Ctrl-C and SIGTERM, until the context ends."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
