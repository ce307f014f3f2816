"""A model folder contains no code: `config.json` and `model.safetensors`.

The header of `model.safetensors` contains the SHA-256 of `config.json` and of its tensors, so that
a mismatch is detected. Loading reads numbers and text and executes nothing.
"""

from pathlib import Path

from torch import Tensor

from bothways.errors import CheckpointError, ConfigError
from bothways.models.manifest import CONFIG_FILE, Manifest, read_manifest
from bothways.nn.classifier import TorchClassifier
from bothways.nn.initialization import unset_classifier
from bothways.nn.size import check_size, file_limit
from bothways.storage.tensors import load_tensors, save_tensors

MODEL_FILE = "model.safetensors"


def is_model_folder(path: Path) -> bool:
    """Return whether a folder contains a model or a run, and not data."""
    return (path / CONFIG_FILE).exists() or (path / "checkpoints").is_dir()


def save_weights(path: Path, config_sha256: str, weights: dict[str, Tensor]) -> None:
    """Write the weights of a model next to the `config.json` with that checksum."""
    save_tensors(path, weights, {"config_sha256": config_sha256})


def read_config(folder: Path) -> tuple[Manifest, str]:
    """Return the manifest of a model whose weights fit in memory, and the SHA-256 of its file.

    Raises
    ------
    CheckpointError
        As `read_manifest`, and if the weights exceed the memory of this machine.
    """
    manifest, config_sha256 = read_manifest(folder)
    try:
        check_size(manifest.model)
    except ConfigError as error:
        raise CheckpointError(f"{folder / CONFIG_FILE} is damaged: {error}") from None
    return manifest, config_sha256


def load_classifier(folder: Path) -> tuple[TorchClassifier, Manifest]:
    """Return the classifier in `folder`, in eval mode on the CPU, and its manifest.

    Raises
    ------
    CheckpointError
        If a file is missing, damaged, of a newer schema, or the two do not belong together.
    """
    manifest, config_sha256 = read_config(folder)
    path = folder / MODEL_FILE
    if not path.exists() and (folder / "checkpoints").is_dir():
        raise CheckpointError(
            f"{folder} has no {MODEL_FILE}: its first epoch is not complete. "
            f"Run: bothways train {folder} --resume"
        )
    weights, facts = load_tensors(path, limit_bytes=file_limit(manifest.model))
    if facts.get("config_sha256") != config_sha256:
        raise CheckpointError(
            f"{folder / CONFIG_FILE} is not the one that {MODEL_FILE} was saved with: its SHA-256 "
            "differs. Restore both from a copy."
        )
    classifier = unset_classifier(manifest.model)
    try:
        classifier.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path} does not fit {CONFIG_FILE}: {reason}") from None
    return classifier.eval(), manifest
