"""Processes that train at the same time do not disturb each other."""

import time

import numpy as np
import pytest
from commands import run_command, start_command

from bothways.training.history import read_history
from bothways.training.run import resume
from bothways.training.run_directory import RunFolder

SMALL = ["hidden_size=4", "num_layers=1", "batch_size=16", "log_every=1", "checkpoint_every=1"]
OPTIONS = ["--threads=1", "--recipe=default", *(f"--set={setting}" for setting in SMALL)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "data.npz"
    inputs = np.random.default_rng(0).normal(size=(60, 5, 3)).astype(np.float32)
    np.savez(path, inputs=inputs, labels=np.arange(60) % 3)
    return path


@pytest.fixture
def running(tmp_path, data):
    """Return the folder of a run that another process is training."""
    folder, log = tmp_path / "run", tmp_path / "log"
    options = [*OPTIONS, "--set=epochs=100000"]
    process = start_command("train", data, "--out", folder, *options, output=log)
    while not (folder / "model.safetensors").exists():
        assert process.is_alive(), log.read_text()
        time.sleep(0.01)
    yield folder
    process.kill()
    process.join()


def test_a_second_process_is_refused_and_the_first_goes_on(running, data):
    lines = len(read_history(running / "history.jsonl"))
    for arguments in (
        ["train", running, "--resume"],
        ["train", data, "--out", running, "--force", *OPTIONS],
    ):
        refused = run_command(*arguments)
        assert refused.returncode == 2
        assert refused.stderr == (
            f"bothways: {running} is being trained by another process; expected one at a time. "
            "Wait until it ends, or train into another folder.\n"
        )
    while len(read_history(running / "history.jsonl")) <= lines:
        time.sleep(0.01)
    assert [path.name for path in running.parent.glob(".*")] == []


def test_a_running_run_can_be_used(running, data, tmp_path):
    for arguments in (["predict", running, data], ["evaluate", running], ["inspect", running]):
        used = run_command(*arguments, folder=tmp_path)
        assert used.returncode == 0, used.stderr


def test_a_finished_run_is_not_locked(tmp_path, data):
    folder = tmp_path / "run"
    done = run_command("train", data, "--out", folder, "--no-report", *OPTIONS, "--set=epochs=1")
    assert done.returncode == 0, done.stderr
    with RunFolder(folder).lock():
        assert resume(folder).metrics.train.count


def test_processes_that_start_together_get_different_numbers(tmp_path, data):
    logs = [tmp_path / f"log{n}" for n in range(6)]
    options = [*OPTIONS, "--set=epochs=1", "--no-report"]
    processes = [
        start_command("train", data, *options, output=log, folder=tmp_path) for log in logs
    ]
    for process, log in zip(processes, logs, strict=True):
        process.join()
        assert process.exitcode == 0, log.read_text()
    runs = sorted((tmp_path / "runs").iterdir())
    assert [run.name for run in runs] == [f"{n:04d}" for n in range(1, 7)]
    assert all((run / "metrics.json").exists() for run in runs)
