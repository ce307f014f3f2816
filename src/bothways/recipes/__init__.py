"""Recipes: named settings, one TOML file each."""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from bothways.config import (
    Architecture,
    Target,
    TrainConfig,
    describe_unknown_setting,
    normalization_of,
)
from bothways.errors import ConfigError, describe_unknown


@dataclass(frozen=True)
class Recipe:
    """Named settings of a network and of its training.

    Parameters
    ----------
    name, summary : str
    model : Architecture
    training : TrainConfig
    notebook : str
        The public notebook that the recipe reproduces, if any.
    published : dict
        `train_percent` and `test_percent` that its author printed, if any.
    step_labels : dict
        Settings that replace others if time steps have labels, see `for_target`.
    """

    name: str
    summary: str
    model: Architecture
    training: TrainConfig
    notebook: str = ""
    published: Mapping[str, float] = field(default_factory=dict)
    step_labels: Mapping[str, Any] = field(default_factory=dict)

    def for_target(self, target: Target) -> "Recipe":
        """Return the recipe for data whose sequences, or whose time steps, have labels.

        For time steps, it has readout step and no stem, which would shorten the sequences, and no
        statistics of a sequence, which depend on later steps: normalization robust instead of
        sequence and both. The `step_labels` of the recipe come on top. These values replace those
        of an earlier `with_settings`.
        """
        if target == "sequence":
            return self
        usual = {"readout": "step", "stem_channels": None, "stem_stride": 1}
        if self.model.normalizes_sequences:
            usual["normalization"] = "robust"
        return self.with_settings({**usual, **self.step_labels})

    def with_settings(self, settings: Mapping[str, Any]) -> "Recipe":
        """Return the recipe with some settings replaced.

        A new length, `steps` or `epochs` or both, replaces both of the recipe.

        Raises
        ------
        ConfigError
            If a setting does not exist, or a value does not fit.
        """
        known = sorted({*Architecture.model_fields, *TrainConfig.model_fields})
        for name, value in settings.items():
            if name == "standardize":
                raise ConfigError(
                    f"standardize is {value!r}, but normalization has replaced it; expected "
                    f"another setting. Set normalization={normalization_of(value)}."
                )
            if name not in known:
                raise ConfigError(describe_unknown_setting(name, known))
        chosen = {k: v for k, v in settings.items() if k in Architecture.model_fields}
        others = {k: v for k, v in settings.items() if k in TrainConfig.model_fields}
        if others.get("steps") or others.get("epochs"):  # a new length replaces the old one
            others = {"steps": None, "epochs": None} | others
        return replace(
            self,
            model=Architecture(**{**self.model.model_dump(), **chosen}),
            training=TrainConfig(**{**self.training.model_dump(), **others}),
        )


def load_recipe(name: str) -> Recipe:
    """Return the recipe `name`.

    Raises
    ------
    ConfigError
        If it does not exist.

    Examples
    --------
    >>> load_recipe("birnn-128").training.batch_size
    100
    """
    content = tomllib.loads(recipe_text(name))
    model, training = Architecture(**content.pop("model")), TrainConfig(**content.pop("training"))
    return Recipe(name=name, model=model, training=training, **content)


def recipe_settings(name: str) -> dict[str, Any]:
    """Return the settings that a recipe sets, by name; all others have their defaults.

    Raises
    ------
    ConfigError
        If it does not exist.

    Examples
    --------
    >>> recipe_settings("birnn-128")["hidden_size"]
    128
    """
    content = tomllib.loads(recipe_text(name))
    return {**content["model"], **content["training"]}


def recipe_text(name: str) -> str:
    """Return the TOML file of the recipe `name`.

    Raises
    ------
    ConfigError
        If it does not exist.
    """
    file = _files().get(name)
    if file is None:
        raise ConfigError(describe_unknown("recipe", name, sorted(_files())))
    return file.read_text()


def all_recipes() -> list[Recipe]:
    """Return all recipes: the default ones, then those of the notebooks, in their order."""
    recipes = map(load_recipe, _files())
    return sorted(recipes, key=lambda recipe: (recipe.notebook, recipe.name))


def _files() -> dict[str, Traversable]:
    tomls = (file for file in files(__package__).iterdir() if file.name.endswith(".toml"))
    return {file.name.removesuffix(".toml"): file for file in tomls}


def parse_settings(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse `name=value` texts; a value is JSON or plain text.

    Raises
    ------
    ConfigError
        If a text has no `=`.

    Examples
    --------
    >>> parse_settings(["readout=flatten", "hidden_size=64"])
    {'readout': 'flatten', 'hidden_size': 64}
    """
    return {name: _value(text) for name, text in _pairs(assignments)}


def parse_choices(assignments: Iterable[str]) -> dict[str, list[Any]]:
    """Parse `name=value,value` texts: the values to try for each setting.

    A setting may be in several texts.

    Raises
    ------
    ConfigError
        If a text has no `=`.

    Examples
    --------
    >>> parse_choices(["cell=lstm,gru", "bidirectional=true,false"])
    {'cell': ['lstm', 'gru'], 'bidirectional': [True, False]}
    """
    choices: dict[str, list[Any]] = {}
    for name, text in _pairs(assignments):
        choices.setdefault(name, []).extend(map(_value, text.split(",")))
    return choices


def _pairs(assignments: Iterable[str]) -> Iterator[tuple[str, str]]:
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(
                f"setting {assignment!r} has no value; expected name=value, "
                "for example readout=flatten. Add a value."
            )
        yield name, text


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
