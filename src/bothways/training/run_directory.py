"""The folder of a training run: its files, and how it is created."""

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bothways.config import with_current_names
from bothways.errors import CheckpointError, ConfigError
from bothways.models.card import describe_taken
from bothways.models.manifest import read_manifest
from bothways.storage.atomic import json_bytes, write_atomically
from bothways.storage.lock import open_locked
from bothways.storage.reading import JSON_BYTES, parse_json, read_file
from bothways.training.history import read_length
from bothways.training.request import Request, request_file
from bothways.training.run_metrics import RunMetrics

RUNS = Path("runs")


@dataclass(frozen=True)
class RunFolder:
    """The files of a run.

    Parameters
    ----------
    path : Path
    replaced : Path, optional
        Where an earlier run at `path` is kept until this one has read its data.
    """

    path: Path
    replaced: Path | None = None

    @property
    def request(self) -> Path:
        """The settings of the run."""
        return request_file(self.path)

    @property
    def checkpoint(self) -> Path:
        """The last saved state of the training."""
        return self.path / "checkpoints" / "training.safetensors"

    @property
    def history(self) -> Path:
        """One JSON line for each start, for every `log_every` steps and for each epoch."""
        return self.path / "history.jsonl"

    @property
    def metrics(self) -> Path:
        """The metrics; the file exists if the run is finished."""
        return self.path / "metrics.json"

    def read_request(self) -> Request:
        """Return the settings of the run.

        Raises
        ------
        CheckpointError
            If this is not the folder of a run.
        """
        if not self.request.exists():
            raise CheckpointError(
                f"{self.path} is not a run; expected a folder that bothways train has written. "
                "Name it, for example: bothways train runs/0001 --resume"
            )
        values = parse_json(read_file(self.request, JSON_BYTES), self.request)
        try:
            return Request(**with_current_names(values))
        except (ValueError, TypeError, RecursionError) as error:
            raise CheckpointError(f"{self.request} is damaged: {error}") from None

    def lock(self) -> IO[bytes]:
        """Keep all others from training this run until the returned file is closed.

        The lock ends with the process, however it ends. It moves with the folder.

        Raises
        ------
        CheckpointError
            If another process, or another thread of this one, is training the run.
        OSError
            If the folder cannot be written.
        """
        try:
            return open_locked(self.request)
        except BlockingIOError:
            raise CheckpointError(
                f"{self.path} is being trained by another process; expected one at a time. Wait "
                "until it ends, or train into another folder."
            ) from None

    def describe_status(self) -> str:
        """Return how far the run has come."""
        if not self.request.exists():
            return "a model without a training run"
        if not self.metrics.exists():
            return f"unfinished; continue with: bothways train {self.path} --resume"
        splits = self.read_metrics().splits
        accuracies = (f"{split} {metrics.accuracy:.2%}" for split, metrics in splits.items())
        return f"finished; accuracy: {', '.join(accuracies)}"

    def describe_taken(self) -> str:
        """Return the length of the training, empty if it is not known or not finished.

        Raises
        ------
        CheckpointError
            If the history is damaged.
        """
        if not (self.request.exists() and self.metrics.exists() and self.history.exists()):
            return ""
        return describe_taken(self.read_request().training, *read_length(self.history))

    def read_metrics(self) -> RunMetrics:
        """Return the metrics.

        Raises
        ------
        CheckpointError
            If the file is damaged.
        """
        try:
            return RunMetrics.from_json(
                parse_json(read_file(self.metrics, JSON_BYTES), self.metrics)
            )
        except (ValueError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(
                f"{self.metrics} is damaged: {reason}. Delete it and resume the run."
            ) from None

    def restore_replaced(self) -> None:
        """Delete this run, and restore the one that it would have replaced."""
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
    """Create a run folder that contains its request, in one step.

    Parameters
    ----------
    out : Path, optional
        Default: a new numbered folder in `runs/`.
    request : Request
    force : bool
        Keep an earlier run at `out` aside: `RunFolder.restore_replaced` restores it,
        `RunFolder.drop_replaced` deletes it.

    Raises
    ------
    ConfigError
        If `out` exists and must not be replaced.
    CheckpointError
        If `out` is a run that is being trained.
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
            replaced = _set_aside(out, parent / f".replaced-{unique}")
        return RunFolder(new.path.rename(out), replaced)
    finally:
        shutil.rmtree(new.path, ignore_errors=True)


def find_unfinished(out: Path | None, request: Request) -> RunFolder | None:
    """Return the run at `out` if it has this request; without `out`, the newest unfinished one."""
    if out is not None:
        found = [RunFolder(out)]
    else:
        numbered = sorted(RUNS.glob("[0-9]*"), key=lambda path: int(path.name), reverse=True)
        found = [run for run in map(RunFolder, numbered) if not run.metrics.exists()]
    return next((run for run in found if _has_request(run, request)), None)


def _has_request(run: RunFolder, request: Request) -> bool:
    try:
        return run.read_request() == request
    except CheckpointError:
        return False


def _check_replaceable(out: Path, force: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not force:
        raise ConfigError(
            f"out folder {out} exists; expected a new one. Choose another, continue the run with "
            "--resume (in Python: bothways.resume), or replace it with --force (in Python: "
            "force=True)."
        )
    if not holds_run_or_model(out):
        raise ConfigError(
            f"out folder {out} is not a run of bothways, so it is never replaced. Choose another "
            "folder."
        )


def _set_aside(out: Path, aside: Path) -> Path:
    """Rename a folder that is to be replaced, and return its new path.

    Raises
    ------
    CheckpointError
        If it is a run that is being trained.
    """
    run = RunFolder(out)
    if not run.request.exists():
        return out.rename(aside)
    with run.lock() as lock:
        if os.name == "nt":
            lock.close()  # a folder with an open file, such as this lock, cannot be renamed there
        return out.rename(aside)


def holds_run_or_model(folder: Path) -> bool:
    """Return whether a folder is a run or a model, which --force may replace."""
    if RunFolder(folder).request.exists():
        return True
    try:
        read_manifest(folder)
    except CheckpointError:
        return False
    return True


def _rename_to_number(new: Path, parent: Path) -> Path:
    """Rename `new` to the next free number, and return the new path."""
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
