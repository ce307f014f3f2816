"""Named settings: the five published recipes and the default, one TOML file each."""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from bothways.config import FROM_DATA, ModelConfig, Target, TrainConfig
from bothways.errors import ConfigError


@dataclass(frozen=True)
class Recipe:
    """Settings of a model and of its training, under a name.

    Parameters
    ----------
    name, summary : str
    model : dict
        Settings of `ModelConfig`; those in `FROM_DATA` come from the data.
    training : TrainConfig
    notebook : str
        The public notebook that it reproduces, if any.
    published : dict
        `train_percent` and `test_percent` that its author printed, where there are any.
    """

    name: str
    summary: str
    model: Mapping[str, Any]
    training: TrainConfig
    notebook: str = ""
    published: Mapping[str, float] = field(default_factory=dict)

    def with_settings(self, settings: Mapping[str, Any], target: Target = "sequence") -> "Recipe":
        """Return the recipe with some settings of its model or training replaced.

        Where steps have labels (`target`), `readout` is step, and there is no stem, which would
        make sequences shorter, unless `settings` say otherwise.

        Raises
        ------
        ConfigError
            If a setting does not exist, or a value does not fit.
        """
        architecture = set(ModelConfig.model_fields) - set(FROM_DATA)
        if target == "step":
            own = {"readout": "step", "stem_channels": None, "stem_stride": 1}
            settings = {**own, **settings}
        for name in settings:
            if name not in architecture and name not in TrainConfig.model_fields:
                known = sorted(architecture | set(TrainConfig.model_fields))
                raise ConfigError(
                    f"setting {name!r} is unknown; expected one of {', '.join(known)}. "
                    "Check its name."
                )
        model = {**self.model, **{k: v for k, v in settings.items() if k in architecture}}
        training = {
            **self.training.model_dump(exclude_unset=True),
            **{k: v for k, v in settings.items() if k not in architecture},
        }
        flatten = {"sequence_length": 1} if model.get("readout") == "flatten" else {}
        ModelConfig(**model, **flatten, input_size=1, num_classes=2)  # refuse bad values now
        return Recipe(
            self.name, self.summary, model, TrainConfig(**training), self.notebook, self.published
        )


def load_recipe(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises
    ------
    ConfigError
        If there is none.

    Examples
    --------
    >>> load_recipe("birnn-128").training.batch_size
    100
    """
    file = _files().get(name)
    if file is None:
        raise ConfigError(
            f"recipe {name!r} is unknown; expected one of {', '.join(sorted(_files()))}. "
            "See: bothways recipes."
        )
    content = tomllib.loads(file.read_text())
    training = TrainConfig(**content.pop("training"))
    return Recipe(name=name, training=training, **content)


def all_recipes() -> list[Recipe]:
    """Return every recipe: the default, then the published ones in the notebooks' order."""
    return sorted((load_recipe(name) for name in _files()), key=lambda recipe: recipe.notebook)


def _files() -> dict[str, Traversable]:
    tomls = (file for file in files(__package__).iterdir() if file.name.endswith(".toml"))
    return {file.name.removesuffix(".toml"): file for file in tomls}


def parse_settings(assignments: Iterable[str]) -> dict[str, Any]:
    """Read `name=value` texts; a value is JSON, or else plain text.

    Raises
    ------
    ConfigError
        If one has no `=`.

    Examples
    --------
    >>> parse_settings(["readout=flatten", "hidden_size=64"])
    {'readout': 'flatten', 'hidden_size': 64}
    """
    return {name: _value(text) for name, text in _pairs(assignments)}


def parse_choices(assignments: Iterable[str]) -> dict[str, list[Any]]:
    """Read `name=value,value` texts: the values to try for each name. Raises as `parse_settings`.

    Examples
    --------
    >>> parse_choices(["cell=lstm,gru", "bidirectional=true,false"])
    {'cell': ['lstm', 'gru'], 'bidirectional': [True, False]}
    """
    return {name: [_value(part) for part in text.split(",")] for name, text in _pairs(assignments)}


def _pairs(assignments: Iterable[str]) -> Iterator[tuple[str, str]]:
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(
                f"setting {assignment!r} has no value; expected name=value, "
                "for example readout=flatten."
            )
        yield name, text


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
