"""What a shell offers when the Tab key is pressed: recipes, settings and their values."""

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any, Literal, get_args, get_origin


def choices(*names: str) -> Callable[[str], list[str]]:
    """Return a completion function that offers names."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def complete_recipe(incomplete: str) -> list[tuple[str, str]]:
    """Return the recipes that begin with a text, with what they are."""
    from bothways.recipes import all_recipes

    recipes = ((recipe.name, recipe.summary) for recipe in all_recipes())
    return [(name, summary) for name, summary in recipes if name.startswith(incomplete)]


def complete_choice(setting: str) -> Callable[[str], list[str]]:
    """Return a completion function that offers the values of a setting."""
    return lambda incomplete: [value for value in _values(setting) if value.startswith(incomplete)]


def complete_setting(incomplete: str) -> list[str]:
    """Return the settings that begin with a text as `NAME=`, of a single one the values too.

    A shell adds a space after a single text, which would divide `NAME=` from its value; the value
    prevents this.

    Examples
    --------
    >>> complete_setting("ce")
    ['cell=', 'cell=rnn', 'cell=gru', 'cell=lstm']
    >>> complete_setting("cell=g")
    ['cell=gru']
    """
    names = [name for name in _settings() if f"{name}=".startswith(incomplete.partition("=")[0])]
    if "=" in incomplete:
        names = [name for name in names if incomplete.startswith(f"{name}=")]
    offered = [f"{name}=" for name in names]
    if len(names) == 1:
        offered += [f"{names[0]}={value}" for value in _values(names[0])]
    return [one for one in offered if one.startswith(incomplete) and one != incomplete]


def complete_setting_name(incomplete: str) -> list[str]:
    """Return the settings that begin with a text."""
    return [name for name in _settings() if name.startswith(incomplete)]


def _settings() -> Mapping[str, Any]:
    from bothways.config import Architecture, TrainConfig

    return {**Architecture.model_fields, **TrainConfig.model_fields}


def _values(setting: str) -> list[str]:
    """Return the values of a setting, or its default if there are too many."""
    from bothways.config import READOUTS

    field = _settings()[setting]
    if setting == "readout":
        return list(READOUTS)
    if field.annotation is bool:
        return ["true", "false"]
    kinds = [field.annotation, *get_args(field.annotation)]
    named = [name for kind in kinds if get_origin(kind) is Literal for name in get_args(kind)]
    default = field.default if isinstance(field.default, str) else json.dumps(field.default)
    return named or [default]


@contextmanager
def words_of_bash() -> Iterator[None]:
    """Let typer see whole words in bash, which divides them at each `=`, and so must the answer."""
    if os.environ.get("_BOTHWAYS_COMPLETE") != "complete_bash":
        yield
        return
    words, rest = [""], os.environ["COMP_WORDS"].split("\n")[: int(os.environ["COMP_CWORD"]) + 1]
    for before, word in zip(["", *rest], rest, strict=False):
        joined = word == "=" or (before == "=" and word != "")
        words[-1:] = [words[-1] + word] if joined else [words[-1], word]
    os.environ |= {"COMP_WORDS": "\n".join(words[1:]), "COMP_CWORD": str(len(words) - 2)}
    known = words[-1].rpartition("=")
    prefix = known[0] + known[1]
    if prefix.startswith("--"):
        prefix = prefix.partition("=")[2]
    try:
        with redirect_stdout(io.StringIO()) as offered:
            yield
    finally:
        for line in filter(None, offered.getvalue().splitlines()):
            print(line.removeprefix(prefix))
