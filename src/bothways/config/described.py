"""What each setting means, its values and its default: from docstrings and types."""

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bothways.config.architecture import Architecture
from bothways.config.augmentation import Augmentation
from bothways.config.settings import Settings
from bothways.config.training import TrainConfig


@dataclass(frozen=True)
class DescribedSetting:
    """A setting.

    Parameters
    ----------
    name : str
    values : str
        Its values or their type, with the range.
    default : str
        As `shown`.
    meaning : str
    """

    name: str
    values: str
    default: str
    meaning: str


def described_settings() -> dict[str, list[DescribedSetting]]:
    """Return all settings, by the title of their group.

    Examples
    --------
    >>> described_settings()["The network"][2]
    DescribedSetting(name='hidden_size', values='int (at least 1)', default='128', meaning='Size ...
    """
    of_augmentation = set(Augmentation.model_fields)
    return {
        "The network": list(_described(Architecture)),
        "The training": [s for s in _described(TrainConfig) if s.name not in of_augmentation],
        "Augmentation": list(_described(Augmentation)),
    }


def shown(value: Any) -> str:
    """Return a value as it is written after `--set NAME=`, or a dash if there is none.

    >>> shown(True), shown(0.5), shown("adam"), shown(None)
    ('true', '0.5', 'adam', '-')
    """
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)


def _described(settings: type[Settings]) -> Iterator[DescribedSetting]:
    schema = settings.model_json_schema()["properties"]
    for names, kind, meaning in _parameters(settings.__doc__ or ""):
        for name in names.split(", "):
            if name in settings.model_fields:
                values = "true or false" if kind == "bool" else kind.removesuffix(", optional")
                if found := _range(name, schema[name]):
                    values = re.sub(r"\b(int|float)\b", rf"\1 ({found})", values, count=1)
                default = shown(settings.model_fields[name].default)
                yield DescribedSetting(name, values, default, meaning)


def _parameters(docstring: str) -> Iterator[tuple[str, str, str]]:
    """Yield names, kind and description of the parameters in a numpydoc docstring."""
    section = inspect.cleandoc(docstring).partition("Parameters\n----------\n")[2]
    section = re.split(r"\n\n\w+\n-+\n", section)[0]
    for part in re.split(r"\n(?=\S)", section):
        head, *lines = part.splitlines()
        names, _, kind = head.partition(" : ")
        yield names, kind, " ".join(line.strip() for line in lines)


def _range(name: str, schema: Mapping[str, Any]) -> str:
    """Return the range of a number in the JSON schema of a setting, empty if it has none."""
    kinds = (schema, *schema.get("anyOf", ()))  # anyOf: a number, or null or a name
    rules: Mapping[str, Any] = next(
        (one for one in kinds if one.get("type") in ("integer", "number")), {}
    )
    low, high = rules.get("minimum"), rules.get("maximum")
    above, below = rules.get("exclusiveMinimum"), rules.get("exclusiveMaximum")
    left = f"{above} < " if low is None else f"{low} ≤ "
    if high is not None:
        return f"{left}{name} ≤ {high}"
    if below is not None:
        return f"{left}{name} < {below}"
    if low is not None:
        return f"at least {low}"
    return "" if above is None else f"above {above}"
