"""The base class of all settings: validated, frozen, with errors of one line."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from bothways.errors import ConfigError, describe_unknown, suggest

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Settings(BaseModel):
    """Base class of frozen settings whose errors are one line.

    A field that accepts values of several types, such as a number or a name, has a `description` of
    what it accepts, for the error.

    Raises
    ------
    ConfigError
        If a name is unknown, a value is out of range, or values contradict each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_one_line(error, type(self).model_fields, values)) from None


def _one_line(
    error: ValidationError, fields: Mapping[str, FieldInfo], values: Mapping[str, Any]
) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    field = fields.get(str(first["loc"][0]))
    if field is not None and field.description is not None:
        name = str(first["loc"][0])  # the rest of `loc` names one of the types
        return f"{name} is {values[name]!r}; expected {field.description}. Correct the value."
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return describe_unknown("setting", name, fields)
    if first["type"] == "missing":
        return f"setting {name!r} is missing; expected a value. Add it."
    rule = "expected " + first["msg"].removeprefix("Input should be ").partition(", unable to")[0]
    if first["type"] == "literal_error":
        choices = first["ctx"]["expected"]
        rule = suggest(str(first["input"]), re.findall("'(.*?)'", choices), rule)
    return f"{name} is {first['input']!r}; {rule}. Correct the value."
