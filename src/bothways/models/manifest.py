"""The content of a model's `config.json`."""

from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import ConfigDict, Field, model_serializer, model_validator

from bothways.config import ModelConfig, Settings, TrainConfig, with_current_names
from bothways.data.options import DataOptions
from bothways.errors import CheckpointError, ConfigError, counted
from bothways.storage.atomic import json_bytes, sha256
from bothways.storage.reading import JSON_BYTES, parse_json, read_file

SCHEMA_VERSION = 1
CONFIG_FILE = "config.json"


class Preprocessing(Settings):
    """How the inputs were read in training, and their range.

    Parameters
    ----------
    features : tuple of str
        Names of the features, if they have any; tables for prediction need these columns.
    reading : DataOptions
        How new data are read.
    training_range : tuple of float, optional
        The smallest and the largest value; inputs far outside raise a warning.
    """

    features: tuple[str, ...] = ()
    reading: DataOptions = DataOptions(offsets=())
    training_range: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _set_offsets(self) -> Self:
        """Subtract nothing in models that are older than offsets."""
        if self.reading.offsets is None:
            reading = self.reading.model_copy(update={"offsets": ()})
            object.__setattr__(self, "reading", reading)
        return self


class TrainingData(Settings):
    """The data that a model was trained on.

    Parameters
    ----------
    name : str
    train_count, test_count : int
        Sequences as they were read, before a validation set is held out of the first.
    split_counts : dict of int
        Sequences of each split of the training; empty in models of older versions.
    train_sha256, test_sha256 : str, optional
        Fingerprints, see `Sequences.fingerprint`.
    """

    name: str
    train_count: int
    test_count: int = 0
    split_counts: dict[str, int] = Field(default_factory=dict)
    train_sha256: str | None = None
    test_sha256: str | None = None


class ConvertedFrom(Settings):
    """The checkpoint that a model was converted from."""

    file: str
    sha256: str


class Provenance(Settings):
    """Where a model comes from. Fields that are None or unset are not saved.

    Parameters
    ----------
    recipe : str, optional
    training : TrainConfig, optional
    data : TrainingData, optional
    threads : int, optional
        Threads of torch in training.
    versions : dict
        See `versions`.
    converted_from : ConvertedFrom, optional
    """

    model_config = ConfigDict(extra="allow")  # provenance of later versions is kept

    recipe: str | None = None
    training: TrainConfig | None = None
    data: TrainingData | None = None
    threads: int | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    converted_from: ConvertedFrom | None = None

    @model_serializer(mode="wrap")
    def _without_unknown(self, serialize: Any) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value not in (None, {})}


class Manifest(Settings):
    """The content of `config.json`.

    Parameters
    ----------
    schema_version : int
    model : ModelConfig
    classes : tuple of str
        Names of the classes, in the order of the logits.
    preprocessing : Preprocessing
    provenance : Provenance
    """

    schema_version: int = SCHEMA_VERSION
    model: ModelConfig
    classes: tuple[str, ...]
    preprocessing: Preprocessing = Preprocessing()
    provenance: Provenance = Provenance()

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if len(self.classes) != self.model.num_classes:
            raise ValueError(
                f"classes names {counted(len(self.classes), 'class')} but num_classes is "
                f"{self.model.num_classes}; expected one name for each."
            )
        return self

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        return json_bytes(self.model_dump(mode="json"))


def versions() -> dict[str, str]:
    """Return the versions of the packages that the weights may depend on."""
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
    if not path.exists():
        raise CheckpointError(
            f"{folder} is not a model or run: it has no {CONFIG_FILE}; expected a folder that "
            "bothways has written. Check the path."
        )
    content = read_file(path, JSON_BYTES)
    return manifest_of(content, path), sha256(content)


def manifest_of(content: bytes, path: Path) -> Manifest:
    """Return the manifest with this JSON, which is in the file `path`.

    Raises
    ------
    CheckpointError
        If it is damaged, of a newer schema, or not from bothways.
    """
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
        return Manifest(**with_current_names(values))
    except (ConfigError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
