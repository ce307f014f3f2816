"""Options of the command line that say how data are read and split, for several commands."""

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bothways.errors import ConfigError

Target = Literal["sequence", "step"]  # as config has it, which is slow to import for --help

if TYPE_CHECKING:
    from bothways.data.options import DataOptions


def data_options(
    sequence: Annotated[
        str | None, typer.Option(help="Column that says which sequence a row belongs to.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Column of the time.")] = None,
    features: Annotated[
        str | None,
        typer.Option(help="Input columns, with commas between; all numbers if not given."),
    ] = None,
    categorical: Annotated[
        str | None, typer.Option(help="Input columns of names, with commas between.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Column of the class.")] = None,
    group: Annotated[
        str | None, typer.Option(help="Column, a person for example, that no split takes apart.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Column that says train, validation or test.")
    ] = None,
    target: Annotated[
        Target, typer.Option(help="What has a label: each sequence, or each step.")
    ] = "sequence",
    ignore: Annotated[
        str | None, typer.Option(help="Label of steps that count for nothing, as empty ones do.")
    ] = None,
    test: Annotated[
        str | None, typer.Option(help="Fraction to hold out for the test, or a file.")
    ] = None,
    by_time: Annotated[
        bool, typer.Option("--by-time", help="Hold out the latest sequences, not any.")
    ] = False,
    drop_copies: Annotated[
        bool, typer.Option("--drop-copies", help="Drop training sequences that are held out too.")
    ] = False,
    window: Annotated[
        int | None, typer.Option(min=1, help="Cut recordings into windows of so many steps.")
    ] = None,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Steps from window to window; as many if not given.")
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="MB", help="Memory for the steps, 1024 if not given; more go to a file."
        ),
    ] = None,
) -> "DataOptions":
    """Return the options as the library has them."""
    from bothways.data.options import DataOptions

    fraction, file = fraction_or_file(test)
    return DataOptions(
        sequence=sequence,
        time=time,
        features=None if features is None else tuple(features.split(",")),
        categorical=() if categorical is None else tuple(categorical.split(",")),
        label=label,
        group=group,
        split=split,
        target=target,
        ignore=ignore,
        test=file,
        test_fraction=fraction or 0.0,
        by_time=by_time,
        drop_copies=drop_copies,
        window=window,
        stride=stride,
        **({} if memory is None else {"memory_mb": memory}),
    )


def reads_data(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `data_options`, in the place of its parameter `options`."""
    named = inspect.signature(data_options).parameters
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        parameters += named.values() if name == "options" else [parameter]

    @functools.wraps(function)
    def command(**values: Any) -> None:
        options = data_options(**{name: values.pop(name) for name in named})
        function(**values, options=options)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def fraction_or_file(value: str | None) -> tuple[float | None, str | None]:
    """Read what --test and --validation take: a fraction, or else the path of a file.

    Raises
    ------
    ConfigError
        If it is a number that is no fraction.

    Examples
    --------
    >>> fraction_or_file("0.2"), fraction_or_file("test.csv")
    ((0.2, None), (None, 'test.csv'))
    """
    if value is None:
        return None, None
    try:
        fraction = float(value)
    except ValueError:
        return None, value
    if not 0 < fraction < 1:
        raise ConfigError(
            f"{value} is no part to hold out; expected a fraction between 0 and 1, or a file. "
            "Use 0.2 for a fifth."
        )
    return fraction, None
