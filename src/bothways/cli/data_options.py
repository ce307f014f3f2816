"""Command-line options that say how data are read and split, derived from `DataOptions`."""

import functools
import inspect
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from bothways.cli.process import prints_here
from bothways.data.options import DataOptions
from bothways.errors import ConfigError


def _parameter(name: str) -> inspect.Parameter:
    """Return the command-line option of a field of `DataOptions`."""
    field, role = DataOptions.model_fields[name], dict(DataOptions.roles())[name]
    flag = "--" + (role.flag or name).replace("_", "-")
    kind, default = field.annotation, field.default
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    (value,) = (part for part in kinds if part is not NoneType)
    metavar = "COLUMN" if role.is_column else "N"
    if get_origin(value) is tuple:
        kind, default, metavar = str | None, None, "COLUMNS"  # separated by commas
    elif get_origin(value) is Literal:
        metavar = "|".join(get_args(value))
    option = typer.Option(
        flag,
        help=role.help,
        metavar=role.metavar or metavar,
        min=next((rule.ge for rule in field.metadata if hasattr(rule, "ge")), None),
        show_default=role.default or True,
        rich_help_panel=role.group,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, option],
    )


def _data_options(values: dict[str, Any]) -> DataOptions:
    """Return the options as the library expects them."""
    fraction, file = fraction_or_file(values.pop("test"))
    for name in ("features", "categorical"):
        text = values.pop(name)
        if text is not None:
            values[name] = tuple(text.split(","))
    return DataOptions(**values, test=file, test_fraction=fraction or 0.0)


def reads_data(function: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameter `options` by the options of `DataOptions`."""
    named = {name: _parameter(name) for name, _ in DataOptions.roles()}
    rare = [named[name] for name, role in DataOptions.roles() if role.is_rare]
    usual = [parameter for parameter in named.values() if parameter not in rare]
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        keyword = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        parameters += usual if name == "options" else [keyword]
    parameters += rare  # in the order of the help

    @functools.wraps(function)
    def command(**values: Any) -> None:
        try:
            options = _data_options({name: values.pop(name) for name in named})
        except ConfigError as error:  # the same in all processes that train together
            error.is_reported = not prints_here(function.__name__)
            raise
        function(**values, options=options)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def fraction_or_file(value: str | None) -> tuple[float | None, str | None]:
    """Read the value of --test or --validation: a fraction, or the path of a file.

    Raises
    ------
    ConfigError
        If it is a number, but not between 0 and 1.

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
            f"{value} is not a fraction to hold out; expected a number between 0 and 1, or a file. "
            "Use 0.2 for a fifth."
        )
    return fraction, None
