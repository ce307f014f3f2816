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
from bothways.models.manifest import CONFIG_FILE, read_manifest
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
    """

    path: Path

    @property
    def request(self) -> Path:
        """The settings of the run."""
        return request_file(self.path)

    @property
    def config(self) -> Path:
        """What the model will be; the file exists if the data have been read."""
        return self.path / CONFIG_FILE

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

    @property
    def replaced(self) -> Path:
        """An earlier run at `path`, which is kept until this one has read its data."""
        return self.path / ".replaced"

    def check(self) -> None:
        """Raise CheckpointError if this is not the folder of a run."""
        if not self.request.exists():
            raise CheckpointError(
                f"{self.path} is not a run; expected a folder that bothways train has written. "
                "Name it, for example: bothways train runs/0001 --resume"
            )

    def read_request(self) -> Request:
        """Return the settings of the run.

        Raises
        ------
        CheckpointError
            If this is not the folder of a run.
        """
        self.check()
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
            If this is not a run, or another process, or another thread of this one, is training it.
        OSError
            If the folder cannot be written.
        """
        self.check()
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
        """Delete this run, and restore the one that it would have replaced.

        Raises
        ------
        CheckpointError
            If another process is training this run.
        """
        failed = RunFolder(self.path.with_name(f".failed-{uuid.uuid4().hex}"))
        _move(self, failed.path)
        if failed.replaced.exists():
            failed.replaced.rename(self.path)
        shutil.rmtree(failed.path)
        if self.path.parent == RUNS and not any(RUNS.iterdir()):
            RUNS.rmdir()

    def drop_replaced(self) -> None:
        """Delete the run that this one replaces, if any."""
        if self.replaced.exists():
            shutil.rmtree(self.replaced)


def create_folder(out: Path | None, request: Request, force: bool) -> RunFolder:
    """Create a run folder that contains its request, in one step.

    Parameters
    ----------
    out : Path, optional
        Default: a new numbered folder in `runs/`.
    request : Request
    force : bool
        Keep an earlier run at `out` inside the new one: `RunFolder.restore_replaced` restores it,
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
    new = RunFolder(parent / f".new-{uuid.uuid4().hex}")
    try:
        new.request.parent.mkdir(parents=True)
        write_atomically(new.request, json_bytes(request.model_dump(mode="json")))
        if out is None:
            return RunFolder(_rename_to_number(new.path, parent))
        if out.exists():
            _move(RunFolder(out), new.replaced)
        return RunFolder(new.path.rename(out))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(out or RUNS)) from None
    finally:
        if out is not None and new.replaced.exists():  # a failure between the two moves
            new.replaced.rename(out)
        shutil.rmtree(new.path, ignore_errors=True)


def find_unfinished(out: Path | None, request: Request) -> RunFolder | None:
    """Return the unfinished run with this request at `out`; without `out`, the newest in `runs/`.

    A finished one may be older than the training that looks for it.
    """
    newest_first = reversed(_numbered(RUNS)) if out is None else [out]
    runs = (RunFolder(path) for path in newest_first)
    return next((run for run in runs if _is_unfinished(run, request)), None)


def _is_unfinished(run: RunFolder, request: Request) -> bool:
    try:
        return run.read_request() == request and not run.metrics.exists()
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


def _move(run: RunFolder, to: Path) -> None:
    """Move a run or a model.

    Raises
    ------
    CheckpointError
        If it is a run that is being trained.
    """
    if not run.request.exists():
        run.path.rename(to)
        return
    with run.lock() as lock:
        if os.name == "nt":
            lock.close()  # a folder with an open file, such as this lock, cannot be renamed there
        run.path.rename(to)


def holds_run_or_model(folder: Path) -> bool:
    """Return whether a folder is a run or a model, which --force may replace."""
    if RunFolder(folder).request.exists():
        return True
    try:
        read_manifest(folder)
    except CheckpointError:
        return False
    return True


def _numbered(parent: Path) -> list[Path]:
    """Return the folders in `parent` whose names are numbers, the highest number last."""
    return sorted(
        (path for path in parent.glob("*") if path.name.isdecimal()),
        key=lambda path: int(path.name),
    )


def _rename_to_number(new: Path, parent: Path) -> Path:
    """Rename `new` to the next free number, and return the new path."""
    taken = _numbered(parent)
    number = int(taken[-1].name) + 1 if taken else 1
    while True:
        target = parent / f"{number:04d}"
        try:
            return new.rename(target)
        except OSError:
            if not target.exists():
                raise
            number += 1  # another process has just taken it
