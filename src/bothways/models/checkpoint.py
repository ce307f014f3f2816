"""A model is one folder without code: `config.json` and `model.safetensors`.

The header of `model.safetensors` holds the SHA-256 of `config.json` and of its own tensors, so the
two cannot disagree unnoticed. Loading reads numbers and text and runs nothing.
"""

from pathlib import Path

import torch
from torch import Tensor

from bothways.errors import CheckpointError
from bothways.models.manifest import CONFIG_FILE, Manifest, read_manifest
from bothways.nn.classifier import SequenceClassifier
from bothways.storage.tensors import load_tensors, save_tensors

MODEL_FILE = "model.safetensors"


def is_model_folder(path: Path) -> bool:
    """Return whether a folder is a model's or a run's, and not of data."""
    return (path / CONFIG_FILE).exists() or (path / "checkpoints").is_dir()


def save_weights(path: Path, config_sha256: str, weights: dict[str, Tensor]) -> None:
    """Write a model's weights beside the `config.json` with that checksum."""
    save_tensors(path, weights, {"config_sha256": config_sha256})


def load_classifier(folder: Path) -> tuple[SequenceClassifier, Manifest]:
    """Return the classifier in `folder`, in eval mode on the CPU, and its manifest.

    Raises
    ------
    CheckpointError
        If a file is missing, damaged, of a newer schema, or the two do not belong together.
    """
    manifest, config_sha256 = read_manifest(folder)
    path = folder / MODEL_FILE
    if not path.exists() and (folder / "checkpoints").is_dir():
        raise CheckpointError(
            f"{folder} has no {MODEL_FILE}: its first epoch has not ended. "
            f"Run: bothways train {folder} --resume"
        )
    weights, facts = load_tensors(path)
    if facts.get("config_sha256") != config_sha256:
        raise CheckpointError(
            f"{folder / CONFIG_FILE} is not the one that {MODEL_FILE} was saved with: its SHA-256 "
            "differs. Restore both from a copy."
        )
    with torch.device("meta"):
        classifier = SequenceClassifier(manifest.model)
    try:
        classifier.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path} does not fit {CONFIG_FILE}: {reason}") from None
    return classifier.eval(), manifest
