"""What a model is: the content of its `config.json`."""

from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import Field, model_validator

from bothways.config import ModelConfig, Settings
from bothways.data.options import DataOptions
from bothways.errors import CheckpointError, ConfigError
from bothways.storage.atomic import json_bytes, sha256
from bothways.storage.reading import JSON_BYTES, parse_json, read_file

SCHEMA_VERSION = 1
CONFIG_FILE = "config.json"


class Preprocessing(Settings):
    """What the inputs were like in training.

    Parameters
    ----------
    features : tuple of str
        Their names, where they have any; a table to predict from must have these columns.
    reading : DataOptions
        How the training data were read, without their splits.
    training_range : tuple of float, optional
        The smallest and the largest value; inputs beyond them are worth a warning.
    """

    features: tuple[str, ...] = ()
    reading: DataOptions = DataOptions(offsets=())
    training_range: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _set_offsets(self) -> Self:
        """Models from before offsets existed subtract nothing."""
        if self.reading.offsets is None:
            reading = self.reading.model_copy(update={"offsets": ()})
            object.__setattr__(self, "reading", reading)
        return self


class Manifest(Settings):
    """The content of `config.json`.

    Parameters
    ----------
    schema_version : int
    model : ModelConfig
    classes : tuple of str
        The name of each logit.
    preprocessing : Preprocessing
    provenance : dict
        Where the model comes from: recipe, training settings, data, versions.
    """

    schema_version: int = SCHEMA_VERSION
    model: ModelConfig
    classes: tuple[str, ...]
    preprocessing: Preprocessing = Preprocessing()
    provenance: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if len(self.classes) != self.model.num_classes:
            raise ValueError(
                f"classes names {len(self.classes)} classes but num_classes is "
                f"{self.model.num_classes}; expected one name for each."
            )
        return self

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        return json_bytes(self.model_dump(mode="json"))


def versions() -> dict[str, str]:
    """Return the versions that a model's bits may depend on."""
    return {"bothways": version("bothways"), "torch": torch.__version__}


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """Return the manifest of a model folder and the SHA-256 of its file.

    Raises
    ------
    CheckpointError
        If it is missing, damaged, of a newer schema, or not from bothways.
    """
    path = folder / CONFIG_FILE
    if not path.exists() and (folder / "checkpoints").is_dir():
        raise CheckpointError(
            f"{folder} has no {CONFIG_FILE}: its training has not begun. "
            f"Run: bothways train {folder} --resume"
        )
    content = read_file(path, JSON_BYTES)
    values = parse_json(content, path)
    try:
        version = values["schema_version"]
    except (KeyError, TypeError):
        raise CheckpointError(
            f"{path} is not the config of a bothways model, or is damaged. Restore it from a copy."
        ) from None
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise CheckpointError(
            f"{path} has schema_version {version!r}; this bothways reads up to {SCHEMA_VERSION}. "
            "Upgrade bothways."
        )
    try:
        return Manifest(**values), sha256(content)
    except (ConfigError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
