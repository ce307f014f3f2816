"""What a resumed run continues from: its saved state, if data and settings are the same."""

import warnings

import torch

from bothways.errors import CheckpointError, DataError, counted
from bothways.models.manifest import CONFIG_FILE, Manifest, read_manifest
from bothways.nn.size import file_limit
from bothways.storage.atomic import write_atomically
from bothways.storage.tensors import load_tensors
from bothways.training.fit import SavedState
from bothways.training.history import check_size
from bothways.training.run_directory import RunFolder


def check_or_write_config(folder: RunFolder, manifest: Manifest, source: str) -> None:
    """Write `config.json`, or check that data and settings are those that it describes.

    Raises
    ------
    CheckpointError, DataError
        As `check_unchanged`.
    OSError
        If the file cannot be written.
    """
    if folder.config.exists():
        before, _ = read_manifest(folder.path)
        check_unchanged(before, manifest, folder, source)
    else:
        write_atomically(folder.config, manifest.to_bytes())


def check_unchanged(before: Manifest, now: Manifest, folder: RunFolder, source: str) -> None:
    """Raise an error if data or settings have changed, and warn if the weights may differ."""
    then, current = before.provenance, now.provenance
    data_then = {} if then.data is None else then.data.model_dump(exclude_unset=True)
    data_now = {} if current.data is None else current.data.model_dump()
    changed = [part for part, value in data_then.items() if data_now.get(part) != value]
    if before.classes != now.classes:
        changed.append("classes")
    if changed:
        raise DataError(
            f"{source} has changed since {folder.path} was started: its {changed[0]} differs. "
            "Restore the data, or start a new run."
        )
    same_versions = current.model_copy(update={"versions": then.versions, "data": then.data})
    if before != now.model_copy(update={"provenance": same_versions}):
        raise CheckpointError(
            f"{folder.request} and {folder.config} disagree: one was changed after "
            "the run was started. Restore both, or start a new run."
        )
    if then.versions != current.versions:
        warnings.warn(
            f"{folder.path} was started with other versions ({then.versions}); the weights may "
            "differ from those of an uninterrupted run.",
            stacklevel=3,
        )
    if current.threads is not None and torch.get_num_threads() != current.threads:
        warnings.warn(
            f"{folder.path} was started with {counted(current.threads, 'thread')} and is "
            f"continued with {torch.get_num_threads()}; the weights may differ from those of an "
            "uninterrupted run.",
            stacklevel=3,
        )


def warn_of_processes(folder: RunFolder, then: int, now: int) -> None:
    """Warn if the number of processes differs from that with which a run was started."""
    if then != now:
        warnings.warn(
            f"{folder.path} was started with {counted(then, 'process')} and is continued with "
            f"{now}; the weights may differ from those of an uninterrupted run.",
            stacklevel=3,
        )


def read_state(folder: RunFolder, manifest: Manifest, config_sha256: str) -> SavedState | None:
    """Return the last saved state of the training, or None if there is none."""
    if not folder.checkpoint.exists():
        return None
    limit = file_limit(manifest.model, copies=8)
    tensors, facts = load_tensors(folder.checkpoint, limit_bytes=limit)
    if "history_size" not in facts:
        raise CheckpointError(
            f"{folder.checkpoint} contains a model; expected the state of a training. Restore it "
            "from a copy."
        )
    if facts["config_sha256"] != config_sha256:
        raise CheckpointError(
            f"{folder.checkpoint} does not belong to the {CONFIG_FILE} of this run: its SHA-256 "
            "differs. Restore both from a copy."
        )
    check_size(folder.history, facts["history_size"])
    return tensors, facts
