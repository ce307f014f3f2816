"""The folder of a training run: its files, and how it comes into being."""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from bothways.config import Settings, TrainConfig
from bothways.data.options import DataOptions
from bothways.errors import CheckpointError, ConfigError
from bothways.models.manifest import read_manifest
from bothways.storage.atomic import json_bytes, write_atomically
from bothways.storage.reading import JSON_BYTES, parse_json, read_file

RUNS = Path("runs")


class Request(Settings):
    """What was asked for: all that a run needs to start again from nothing.

    Parameters
    ----------
    source : str, optional
        A built-in data set, or the absolute path of a file; None for data passed from Python.
    options : DataOptions
        How the source is read and split.
    recipe : str
    model : dict
        Settings of `ModelConfig` that do not come from the data.
    training : TrainConfig
    threads : int
        torch's threads; the same number gives the same bits.
    """

    source: str | None
    options: DataOptions = DataOptions()
    recipe: str
    model: dict[str, Any]
    training: TrainConfig
    threads: int = Field(ge=1)


@dataclass(frozen=True)
class RunFolder:
    """The files of a run.

    Parameters
    ----------
    path : Path
    replaced : Path, optional
        Where an earlier run at `path` is put aside until this one has its data.
    """

    path: Path
    replaced: Path | None = None

    @property
    def request(self) -> Path:
        """What was asked for."""
        return self.path / "checkpoints" / "request.json"

    @property
    def checkpoint(self) -> Path:
        """The newest state of the training."""
        return self.path / "checkpoints" / "training.safetensors"

    @property
    def history(self) -> Path:
        """A line each N steps and each epoch."""
        return self.path / "history.jsonl"

    @property
    def metrics(self) -> Path:
        """The final figures."""
        return self.path / "metrics.json"

    def read_request(self) -> Request:
        """Return what was asked for.

        Raises
        ------
        CheckpointError
            If this is not the folder of a run.
        """
        values = parse_json(read_file(self.request, JSON_BYTES), self.request)
        try:
            return Request(**values)
        except (ValueError, TypeError, RecursionError) as error:
            raise CheckpointError(f"{self.request} is damaged: {error}") from None

    def describe_status(self) -> str:
        """Say how far the run has come; a model folder without a run is just a model."""
        if not self.request.exists():
            return "a model; no training run beside it"
        if not self.metrics.exists():
            return f"unfinished; continue with: bothways train {self.path} --resume"
        figures = self.read_metrics().items()
        accuracies = (f"{split} {m['accuracy']:.2%}" for split, m in figures if m is not None)
        return f"finished; accuracy: {', '.join(accuracies)}"

    def read_metrics(self) -> dict[str, Any]:
        """Return the final figures.

        Raises
        ------
        CheckpointError
            If the file is damaged.
        """
        try:
            return dict(parse_json(read_file(self.metrics, JSON_BYTES), self.metrics))
        except (ValueError, TypeError) as error:
            raise CheckpointError(
                f"{self.metrics} is damaged: {error}. Delete it and resume the run."
            ) from None

    def restore_replaced(self) -> None:
        """Delete this run, and bring back the one that it was to replace."""
        shutil.rmtree(self.path)
        if self.replaced is not None:
            self.replaced.rename(self.path)
        elif self.path.parent == RUNS and not any(RUNS.iterdir()):
            RUNS.rmdir()

    def drop_replaced(self) -> None:
        """Delete the run that this one replaces, if any."""
        if self.replaced is not None:
            shutil.rmtree(self.replaced)


def create_folder(out: Path | None, request: Request, force: bool) -> RunFolder:
    """Make a run's folder appear in one step, with the request already in it.

    Parameters
    ----------
    out : Path, optional
        A new numbered folder under `runs/` where not given.
    request : Request
    force : bool
        Put aside an earlier run that is at `out`: `RunFolder.restore_replaced` brings it back,
        `RunFolder.drop_replaced` deletes it.

    Raises
    ------
    ConfigError
        If `out` exists and must not be replaced.
    OSError
        If the folder cannot be made.
    """
    parent = RUNS if out is None else out.parent
    if out is not None:
        if not out.name:
            raise ConfigError(f"out folder {out} has no name; expected a new folder.")
        _check_replaceable(out, force)
    parent.mkdir(parents=True, exist_ok=True)
    unique = uuid.uuid4().hex
    new = RunFolder(parent / f".new-{unique}")
    try:
        new.request.parent.mkdir(parents=True)
        write_atomically(new.request, json_bytes(request.model_dump(mode="json")))
        if out is None:
            return RunFolder(_rename_to_number(new.path, parent))
        replaced = None
        if out.exists():
            replaced = out.rename(parent / f".replaced-{unique}")
        return RunFolder(new.path.rename(out), replaced)
    finally:
        shutil.rmtree(new.path, ignore_errors=True)


def _check_replaceable(out: Path, force: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not force:
        raise ConfigError(
            f"out folder {out} exists; expected a new one. Choose another, continue it with "
            "--resume, or replace it with --force."
        )
    if not _is_ours(out):
        raise ConfigError(
            f"out folder {out} is not a run of bothways, so --force does not replace it. "
            "Choose another."
        )


def _is_ours(folder: Path) -> bool:
    """Say whether a folder is a run or a model, so that replacing it was meant."""
    if RunFolder(folder).request.exists():
        return True
    try:
        read_manifest(folder)
    except CheckpointError:
        return False
    return True


def _rename_to_number(new: Path, parent: Path) -> Path:
    """Rename `new` to the next free number."""
    taken = [int(path.name) for path in parent.iterdir() if path.name.isdecimal()]
    number = max(taken, default=0) + 1
    while True:
        target = parent / f"{number:04d}"
        try:
            return new.rename(target)
        except OSError:
            if not target.exists():
                raise
            number += 1  # another process has just taken it
