"""Training on a cluster of Ray, here two processes of this machine."""

import logging
import os
import shutil
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import run_command
from safetensors.torch import load_file
from sample_files import write_table

from bothways import DataOptions, train
from bothways.errors import ConfigError, DataError, ProcessError
from bothways.models.scoring import plan_parts, score_part
from bothways.on_ray import score_on_ray, train_on_ray
from bothways.training.history import read_history

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Ray
    pytest.mark.timeout(900),  # Ray starts a Python interpreter for each process
]

SMALL = {"hidden_size": 8, "stem_channels": 4, "steps": 20, "batch_size": 8, "dropout": 0.2}
OPTIONS = DataOptions(group="person", test_fraction=0.25)


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray = pytest.importorskip("ray")
    path = os.pathsep.join(["src", "tests"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}},
        )
        yield ray.get_runtime_context().gcs_address
        ray.shutdown()


@pytest.fixture
def gestures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "gestures.csv", np.random.default_rng(0), "recording")
    return "gestures.csv"


def test_the_result_is_that_of_one_process(gestures):
    alone = train(gestures, options=OPTIONS, out="alone", **SMALL)
    together = train_on_ray(gestures, options=OPTIONS, out="together", workers=2, **SMALL)
    assert together.metrics.test.accuracy == alone.metrics.test.accuracy
    assert together.folder.samefile("together")
    assert_close(together.folder, alone.folder)
    assert not list(Path().glob(".ray*"))


def test_a_process_that_died_is_replaced(gestures):
    settings = SMALL | {"steps": 600, "checkpoint_every": 10, "log_every": 10}
    alone = train(gestures, options=OPTIONS, out="alone", **settings)
    history = Path("together/history.jsonl").absolute()
    earlier = find_workers()  # those of the test before may still be ending
    killer = threading.Thread(target=kill_a_worker, args=[history, earlier])
    killer.start()
    run = train_on_ray(
        gestures, options=OPTIONS, out="together", workers=2, max_failures=1, **settings
    )
    killer.join()
    assert [line["kind"] for line in read_history(history)].count("start") == 2
    assert_close(run.folder, alone.folder)


def assert_close(folder, expected):
    found, wanted = (load_file(run / "model.safetensors") for run in (folder, expected))
    for name, tensor in wanted.items():
        difference = (found[name] - tensor).float().norm() / tensor.float().norm()
        assert difference < 1e-4, name


def kill_a_worker(history, earlier):
    """Kill a process of a training that has a checkpoint: that of step 10, once it is at 20."""
    while [line["kind"] for line in read_history(history)].count("step") < 2:
        time.sleep(0.05)
    os.kill(min(find_workers() - earlier), signal.SIGKILL)


def find_workers():
    """Return the numbers of the processes that train on Ray."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if b"RayTrainWorker" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
    return found


def test_an_error_is_that_of_train(gestures):
    with pytest.raises(ConfigError, match=r"crop_steps is 3 but gestures\.csv has one label"):
        train_on_ray(gestures, out="run", workers=2, crop_steps=3, **SMALL)
    assert not Path("run").exists()
    with pytest.raises(DataError, match=r"data 'other\.csv' is not found"):
        train_on_ray("other.csv", workers=2)


@pytest.mark.parametrize("name", ["workers", "threads"])
def test_counts_are_at_least_one(gestures, name):
    with pytest.raises(ConfigError, match=f"{name} is 0; expected at least 1"):
        train_on_ray(gestures, **{"workers": 2, name: 0})


def test_predictions_are_those_of_one_process(gestures, tmp_path, caplog):
    arrow = logging.getLogger("ray.data._internal.tensor_extensions.arrow")
    arrow.addHandler(caplog.handler)
    run = train(gestures, options=OPTIONS, out="run", **SMALL)
    for n in range(3):
        write_table(tmp_path / f"new-{n}.csv", np.random.default_rng(n), None)
    here, there = tmp_path / "here", tmp_path / "there"
    for out in (here, there):
        out.mkdir()
    for part in plan_parts(run.folder, ["new-*.csv"], here, print):
        score_part(run.load(), part)
    parts = plan_parts(run.folder, ["new-*.csv"], there, print)
    assert sum(scored.info.sequences for scored in score_on_ray("run", parts, 2)) == 120
    assert "Failed to convert" not in caplog.text
    names = sorted(path.name for path in here.iterdir())
    assert names == sorted(path.name for path in there.iterdir())
    for name in names:
        assert pd.read_parquet(here / name).equals(pd.read_parquet(there / name))


def test_the_command_prints_what_it_prints_without_ray(gestures, tmp_path, cluster):
    train(gestures, options=OPTIONS, out="run", **SMALL)
    for n in range(2):
        write_table(tmp_path / f"new-{n}.csv", np.random.default_rng(n), None)
    # The command is forked from a process that may be older than the cluster.
    variables = {
        "RAY_ADDRESS": cluster,
        "RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE", "disabled"),
    }
    address = f"import os; os.environ.update({variables!r})"
    printed = []
    for engine in ("local", "ray"):
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        arguments = ("predict", "run", "new-*.csv", "--out", out, "--engine", engine)
        result = run_command(*arguments, before=address, timeout=None)
        assert result.returncode == 0, result.stderr
        lines = result.stderr.splitlines()
        # Ray's core, which has no option for it, prints a warning about its own actors.
        printed.append([line for line in lines if " core_worker.cc:" not in line])
    assert printed[0] == printed[1]
    assert printed[0][-1] == f"80 predictions in 2 files of {out}, 80 of them new"


def test_the_error_of_a_part_names_its_file(gestures, tmp_path):
    train(gestures, options=OPTIONS, out="run", **SMALL)
    table = pd.read_csv(gestures)
    table.iloc[:, 1:2].to_csv("other.csv", index=False)
    (out := tmp_path / "out").mkdir()
    parts = plan_parts("run", ["other.csv", "gestures.csv"], out, print)
    problems = {str(one.part.location): one.problem for one in score_on_ray("run", parts, 2)}
    assert problems["gestures.csv"] == ""
    assert problems["other.csv"].startswith("other.csv")
    with pytest.raises(
        ProcessError, match=r"^predicting on Ray has failed.*predict the same files"
    ):
        list(score_on_ray("missing", parts, 2))
