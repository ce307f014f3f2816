"""A run that was killed or ran out of disk space is resumed to the same weights."""

import random
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from commands import run_command, start_command

from bothways.training.history import read_history

SETTINGS = {
    "hidden_size": 48,
    "normalization": "dataset",
    "num_layers": 1,
    "dropout": 0.2,
    "average_decay": 0.9,
    "augment_time_warp": 0.2,
    "augment_feature_mask": 0.2,
    "validation_fraction": 0.25,
    "epochs": 6,
    "batch_size": 10,
    "log_every": 1,
    "checkpoint_every": 1,
}
CHOSEN = [f"--set={name}={value}" for name, value in SETTINGS.items()]
OPTIONS = ["--threads=1", "--recipe=default", *CHOSEN]
WEIGHTS_BYTES = 80_000
CHECKPOINT_BYTES = 4 * WEIGHTS_BYTES  # weights, their average and Adam's two moments


@pytest.fixture(scope="module")
def undisturbed(request, tmp_path_factory):
    """Return a dataset, padded or ragged, and the folder of an uninterrupted run on it."""
    data = tmp_path_factory.mktemp(request.param) / "data.npz"
    generator = np.random.default_rng(0)
    arrays = {}
    for prefix, count in (("", 96), ("test_", 3000)):  # enough for a slow evaluation
        labels = np.arange(count) % 3
        inputs = generator.normal(size=(count, 12, 3)).astype(np.float32)
        inputs[np.arange(count), :, labels] += 0.5
        arrays |= {f"{prefix}inputs": inputs, f"{prefix}labels": labels}
        if request.param == "ragged":
            arrays[f"{prefix}lengths"] = generator.integers(3, 13, count)
    np.savez(data, **arrays)
    folder = data.with_name("undisturbed")
    finish(data, folder, data.with_name("log"))
    return data, folder


def start(data, folder, log):
    """Start the run in a child process, or resume it."""
    if folder.exists():
        return start_command("train", folder, "--resume", output=log)
    return start_command("train", data, "--out", folder, *OPTIONS, output=log)


def finish(data, folder, log):
    process = start(data, folder, log)
    process.join()
    assert process.exitcode == 0, log.read_text()


def kill(moment, line, pause, data, folder, log):
    """Start or resume, kill at the moment after that line of the history; return if it hit."""
    if moment == "appearance":
        shutil.rmtree(folder, ignore_errors=True)
    checkpoint = folder / "checkpoints" / ".training.safetensors.tmp"
    leftover = last_written(checkpoint)

    def is_writing():
        return last_written(checkpoint) not in (None, leftover)

    def has_come():
        if moment == "appearance":
            return folder.exists()
        if moment == "evaluation":
            return log.exists() and "Evaluating test" in log.read_text()
        return len(read_history(folder / "history.jsonl")) >= line and (
            moment == "step" or is_writing()
        )

    log.unlink(missing_ok=True)
    process = start(data, folder, log)
    while process.is_alive() and not has_come():
        pass
    if moment in ("step", "evaluation"):
        time.sleep(pause)
    process.kill()
    process.join()
    hit = {
        "appearance": not (folder / "config.json").exists(),
        "write": is_writing(),
        "step": not log.exists() or "Evaluating" not in log.read_text(),
        "evaluation": not (folder / "metrics.json").exists(),
    }
    return process.exitcode == -signal.SIGKILL and hit[moment]


def last_written(path):
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def untimed_history(folder):
    timings = ("seconds", "sequences_per_second")
    lines = read_history(folder / "history.jsonl")
    lines = [line for line in lines if line["kind"] != "start"]
    return [{key: line[key] for key in line if key not in timings} for line in lines]


def assert_same_run(folder, expected):
    for name in ("model.safetensors", "config.json", "metrics.json", "README.md"):
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name
    assert untimed_history(folder) == untimed_history(expected)


@pytest.mark.parametrize("undisturbed", ["padded", "ragged"], indirect=True)
def test_a_repeatedly_killed_run_gives_the_same_result(tmp_path, undisturbed, seed):
    data, expected = undisturbed
    chance = random.Random(seed)
    moments = ["write"] * 5 + ["step"] * 7
    chance.shuffle(moments)
    lines = sorted(chance.sample(range(len(read_history(expected / "history.jsonl"))), 12))
    schedule = [("appearance", 0), *zip(moments, lines, strict=True), ("evaluation", 0)]
    folder = tmp_path / "run"
    for moment, line in schedule:
        kills = (
            kill(moment, line, chance.uniform(0, 0.03), data, folder, tmp_path / "log")
            for _ in range(5)
        )
        assert any(kills), f"no kill hit: {moment}, line {line}"
    finish(data, folder, tmp_path / "log")
    assert_same_run(folder, expected)


@pytest.mark.parametrize("undisturbed", ["padded"], indirect=True)
def test_a_run_resumes_after_a_full_disk(tmp_path, undisturbed):
    data, expected = undisturbed
    disk = tmp_path / "disk"
    disk.mkdir()
    if not mount("-t", "tmpfs", "-o", f"size={CHECKPOINT_BYTES + 2 * WEIGHTS_BYTES}", "none", disk):
        pytest.skip("mounting is not permitted")
    try:
        failed = run_command("train", data, "--out", disk / "run", *OPTIONS)
        assert_failed_in_one_line(failed, disk / "run", "No space left on device")
        assert mount("-o", "remount,size=16m", disk)
        finish(data, disk / "run", tmp_path / "log")
        assert_same_run(disk / "run", expected)
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("undisturbed", ["padded"], indirect=True)
def test_a_run_resumes_after_a_file_size_limit(tmp_path, undisturbed):
    data, expected = undisturbed
    size = CHECKPOINT_BYTES + WEIGHTS_BYTES // 2  # the best epoch's weights do not fit as well
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"
    failed = run_command("train", data, "--out", tmp_path / "run", *OPTIONS, before=limit)
    assert_failed_in_one_line(failed, tmp_path / "run", "File too large")
    finish(data, tmp_path / "run", tmp_path / "log")
    assert_same_run(tmp_path / "run", expected)


def mount(*arguments):
    """Return whether `mount` succeeded."""
    if shutil.which("mount") is None:
        return False
    return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0


def assert_failed_in_one_line(process, folder, reason):
    assert process.returncode == 2
    assert re.fullmatch(
        rf"bothways: {folder}/\S+: {reason}\. Fix this\. To continue, run: bothways train {folder} "
        r"--resume\n",
        process.stderr,
    )
