"""What every command of the command line shares: errors in one line, warnings, signals."""

import functools
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec

import typer
import typer.core
from typer.exceptions import TyperException

from bothways.cli.process import keep_freed_memory
from bothways.errors import BothwaysError

P = ParamSpec("P")


class OneLineErrors(typer.core.TyperGroup):
    """Commands whose usage errors are one line, as all other errors are."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse; without arguments, show the help."""
        if not args:
            return super().parse_args(ctx, args)
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
        _fail(f"{error.format_message()} See: bothways --help", error.exit_code)


def command(
    app: typer.Typer, name: str, examples: str
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Register a command of `app` whose errors are one line and an exit code."""

    def register(function: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            keep_freed_memory()
            try:
                with _plain_warnings():
                    function(*args, **kwargs)
            except BothwaysError as error:
                _fail(str(error), error.exit_code)
            except KeyboardInterrupt:
                _fail("interrupted; nothing that was saved is lost.", 130)
            except BrokenPipeError:
                # The reader of our output has gone; nothing more can be said to it.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(1) from None
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                _fail(
                    f"{where}{error.strerror or error}. Mend that and run it again; a run that had "
                    "begun goes on with: bothways train FOLDER --resume",
                    2,
                )

        app.command(name, epilog=f"\b\nExamples\n{examples}")(guarded)
        return guarded

    return register


def _fail(message: str, exit_code: int) -> None:
    print(f"bothways: {message}", file=sys.stderr)
    raise typer.Exit(exit_code)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show each warning once, as one line; a file's worth of ScaleWarnings is one."""
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any) -> None:
        what = category.__name__ if category.__name__ == "ScaleWarning" else str(message)
        if what not in shown:
            shown.add(what)
            print(f"bothways: warning: {message}", file=sys.stderr)

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
        print("\nbothways: stopping …", file=sys.stderr)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, request)
    try:
        yield lambda: requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
