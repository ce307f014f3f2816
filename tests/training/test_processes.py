"""Training in several processes gives the result of one process, and fails as one."""

import os
import re
import signal
import time

import numpy as np
import pytest
import torch
from commands import run_command, start_processes
from safetensors.torch import load_file
from torch import distributed

from bothways.errors import ConfigError
from bothways.training.history import read_history
from bothways.training.loop import processes as processes_module
from bothways.training.loop.joining import joined_processes
from bothways.training.loop.processes import Processes

SETTINGS = {
    "hidden_size": 8,
    "batch_size": 10,
    "epochs": 1,
    "learning_rate": 0.01,
    "checkpoint_every": 1,
    "log_every": 1,
    "stem_channels": "null",
}
CASES = {
    "padded": {"dropout": 0.2, "gradient_clip": 0.5, "validation_fraction": 0.2},
    "ragged": {"dropout": 0.3, "num_layers": 2, "class_weights": "balanced", "input_jitter": 0.1},
    "augmented": {
        "augment_time_warp": 0.2,
        "augment_time_shift": 0.2,
        "augment_noise": 0.1,
        "augment_time_mask": 0.3,
        "augment_feature_mask": 0.3,
        "augment_scale": 0.1,
    },
    "images": {"augment_rotation": 10, "augment_elastic": 0.5, "augment_zoom": 0.1},
    "stem": {"stem_channels": 4, "dropout": 0.2, "average_decay": 0.9},
    "ensemble": {"members": 2, "dropout": 0.2, "initial_state": "normal", "label_smoothing": 0.1},
    "few rows": {"batch_size": 2, "dropout": 0.2},
    "steps": {"readout": "step", "crop_steps": 5, "dropout": 0.2, "class_weights": "balanced"},
}


def make_data(path, case):
    rng = np.random.default_rng(0)
    labels = np.arange(48) % 3
    inputs = rng.normal(size=(48, 12, 6)).astype(np.float32)
    inputs[np.arange(48), :, labels] += 1
    if case == "steps":
        labels = np.repeat(labels[:, None], 12, axis=1)
        labels[rng.random(labels.shape) < 0.1] = -1
    arrays = {"inputs": inputs, "labels": labels}
    if case != "images":
        arrays["lengths"] = rng.integers(3, 13, 48)
    np.savez(path, **arrays)


def arguments(folder, case):
    """Return the arguments of `train` for a case, without the run folder."""
    data = folder / "data.npz"
    make_data(data, case)
    settings = SETTINGS | CASES[case]
    chosen = [f"--set={name}={value}" for name, value in settings.items()]
    target = ["--target=step"] if case == "steps" else []
    return ["train", data, "--threads=1", "--no-report", *target, *chosen]


def train_in(count, folder, *command, before=""):
    """Train in `count` processes, and return what the first one printed."""
    processes = start_processes(count, *command, streams=folder, before=before)
    for process in processes:
        process.join()
    errors = "".join((folder / f"{rank}.err").read_text() for rank in range(count))
    assert [process.exitcode for process in processes] == [0] * count, errors
    assert all((folder / f"{rank}.out").read_text() == "" for rank in range(1, count))
    return (folder / "0.out").read_text()


def assert_close(folder, expected):
    found, wanted = (load_file(run / "model.safetensors") for run in (folder, expected))
    for name, tensor in wanted.items():
        difference = (found[name] - tensor).float().norm() / tensor.float().norm().clamp(min=1e-6)
        assert difference < 1e-5, name


@pytest.mark.parametrize("case", CASES)
def test_the_weights_are_those_of_one_process(case, tmp_path):
    command = arguments(tmp_path, case)
    one = run_command(*command, "--out", tmp_path / "one")
    assert one.returncode == 0, one.stderr
    for count in (2, 3):
        train_in(count, tmp_path, *command, "--out", tmp_path / str(count))
        assert_close(tmp_path / str(count), tmp_path / "one")


def test_each_process_has_about_the_same_number_of_steps(seed):
    lengths = torch.randint(1, 1000, (100,), generator=torch.Generator().manual_seed(seed))
    parts = [Processes(rank, 3).own_rows(lengths) for rank in range(3)]
    assert sorted(torch.cat(parts).tolist()) == list(range(100))
    totals = [int(lengths[rows].sum()) for rows in parts]
    assert max(totals) < 1.1 * min(totals)


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_killed_run_is_resumed_to_the_same_bytes(victim, tmp_path):
    command = arguments(tmp_path, "ragged")
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "run"
    train_in(3, tmp_path, *command, "--out", undisturbed)
    processes = start_processes(3, *command, "--out", folder, streams=tmp_path, before=SLOW_STEPS)
    wait_for_step(folder, 2)
    processes[victim].kill()
    for process in processes:
        process.join()
    codes = [process.exitcode for process in processes]
    assert codes.pop(victim) == -signal.SIGKILL
    assert codes == [2, 2]
    for rank in {0, 1, 2} - {victim}:
        error = (tmp_path / f"{rank}.err").read_text()
        assert re.fullmatch(rf"bothways: process {rank} has lost another one .*--resume\.\n", error)
    train_in(3, tmp_path, "train", folder, "--resume")
    for name in ("model.safetensors", "config.json", "metrics.json", "README.md"):
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes(), name


def test_a_run_is_continued_by_another_number_of_processes(tmp_path):
    command = arguments(tmp_path, "padded")
    one = run_command(*command, "--out", tmp_path / "one")
    assert one.returncode == 0, one.stderr
    folder = tmp_path / "run"
    stopped = run_command(*command, "--out", folder, before=STOP_AFTER_THREE_STEPS)
    assert stopped.returncode == 130
    train_in(2, tmp_path, "train", folder, "--resume")
    warning = (tmp_path / "0.err").read_text()
    assert "was started with 1 process and is continued with 2; the weights may differ" in warning
    assert (tmp_path / "1.err").read_text() == ""
    assert_close(folder, tmp_path / "one")


def test_a_signal_to_one_process_stops_all_of_them(tmp_path):
    command, folder = arguments(tmp_path, "ragged"), tmp_path / "run"
    train_in(2, tmp_path, *command, "--out", tmp_path / "undisturbed")
    processes = start_processes(2, *command, "--out", folder, streams=tmp_path, before=SLOW_STEPS)
    wait_for_step(folder, 2)
    processes[1].terminate()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [130, 130]
    assert "everything is saved" in (tmp_path / "0.err").read_text()
    assert (tmp_path / "1.err").read_text() == ""
    train_in(2, tmp_path, "train", folder, "--resume")
    weights = [(tmp_path / run / "model.safetensors") for run in ("run", "undisturbed")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (["--set=readout=flatten", "--set=crop_steps=3"], "crop_steps"),
        (["--set=device=mars"], "mars"),
        (["--set=color=blue"], "color"),
        (["--recipe=unknown"], "unknown"),
        (["--validation=7"], "7 is not a fraction"),
        (["--test=7"], "7 is not a fraction"),
        (["--steps=7"], "steps is a setting"),
        (["--unknown"], "No such option"),
        (["--resume"], "--resume was given with"),
    ],
)
def test_an_error_of_all_processes_is_printed_once(tmp_path, changes, reason):
    assert_fails_once(2, tmp_path, [*arguments(tmp_path, "padded"), *changes], reason)


@pytest.mark.parametrize("arguments", [["none.npz"], ["none", "--resume"]])
def test_data_that_no_process_finds_are_reported_once(tmp_path, arguments):
    assert_fails_once(2, tmp_path, ["train", *arguments], "none.* is not")


def test_a_folder_that_cannot_be_written_is_reported_once(tmp_path):
    (tmp_path / "file").touch()
    command = [*arguments(tmp_path, "padded"), "--out", tmp_path / "file" / "run"]
    assert_fails_once(2, tmp_path, command, r"file/run: .*\. Fix this\. Run the command again\.")


def test_an_error_of_one_process_ends_all(tmp_path):
    command = [*arguments(tmp_path, "padded"), "--out", tmp_path / "run"]
    processes = start_processes(2, *command, streams=tmp_path, before=FAIL_IN_THE_SECOND)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [2, 2]
    assert (tmp_path / "0.err").read_text() == ""
    assert (tmp_path / "1.err").read_text() == "bothways: the disk of process 1 is gone\n"
    assert not (tmp_path / "run").exists()


def test_a_folder_that_exists_is_reported_once(tmp_path):
    command = [*arguments(tmp_path, "padded"), "--out", tmp_path / "run"]
    train_in(2, tmp_path, *command)
    assert_fails_once(2, tmp_path, command, "run exists; expected a new one")


def assert_fails_once(count, folder, command, reason):
    processes = start_processes(count, *command, streams=folder)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [2] * count
    errors = [(folder / f"{rank}.err").read_text() for rank in range(count)]
    assert re.fullmatch(f"bothways: .*{reason}.*\n", errors[0])
    assert errors[1:] == [""] * (count - 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"MASTER_PORT": None, "RANK": None}, "WORLD_SIZE is 2 but RANK, MASTER_PORT is not set"),
        ({"WORLD_SIZE": "x"}, "WORLD_SIZE is 'x'; expected the number of processes"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is '0'; expected the number of processes"),
        ({"RANK": "5"}, r"RANK is '5'; expected 0\.\.1, because WORLD_SIZE is 2\. Start"),
        ({"LOCAL_RANK": "-1"}, r"LOCAL_RANK is '-1'; expected 0\.\.1, because WORLD_SIZE is 2"),
        ({"MASTER_PORT": "http"}, r"MASTER_PORT is 'http'; expected 1\.\.65535\. .* or unset"),
    ],
)
def test_an_environment_that_contradicts_itself_is_refused(monkeypatch, changes, message):
    environment = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1"}
    environment |= {"MASTER_PORT": "1234"} | changes
    for name, value in environment.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message), joined_processes():
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_process_that_waits_for_others_to_join(number, tmp_path):
    command = arguments(tmp_path, "padded")
    before = f"from pathlib import Path\nfolder = Path({str(tmp_path)!r})\n{TELL_BEFORE_JOINING}"
    process, absent = start_processes(2, *command, streams=tmp_path, before=before)
    while not (tmp_path / "joins").exists():
        time.sleep(0.01)
    os.kill(process.pid, number)
    process.join(100)
    absent.kill()
    absent.join()
    assert process.exitcode == -number


def test_a_second_interrupt_ends_a_process_that_waits_for_another(tmp_path):
    command = [*arguments(tmp_path, "padded"), "--set=epochs=100000", "--out", tmp_path / "run"]
    before = "from bothways.cli import signals\nsignals._PATIENCE_SECONDS = 0.1\n"
    processes = start_processes(2, *command, streams=tmp_path, before=before)
    wait_for_step(tmp_path / "run", 2)
    os.kill(processes[1].pid, signal.SIGSTOP)
    history = tmp_path / "run" / "history.jsonl"
    lines = None
    while lines != (lines := len(read_history(history))):  # until the first process waits
        time.sleep(0.5)
    for _ in range(2):
        os.kill(processes[0].pid, signal.SIGINT)
        time.sleep(0.1)  # Linux joins two signals of the same number that come at once
    processes[0].join(100)
    processes[1].kill()
    processes[1].join()
    assert processes[0].exitcode == 130
    assert (tmp_path / "0.err").read_text() == (
        "bothways: interrupted; everything saved so far is kept.\n"
    )


def test_a_restart_continues_the_run_with_the_same_request(tmp_path):
    command = arguments(tmp_path, "padded")
    run_command(*command, folder=tmp_path)
    stopped = run_command(*command, folder=tmp_path, before=STOP_AFTER_THREE_STEPS)
    assert stopped.returncode == 130
    restarted = "import os\nos.environ['TORCHELASTIC_RESTART_COUNT'] = '1'\n"
    continued = run_command(*command, folder=tmp_path, before=restarted)
    assert continued.returncode == 0, continued.stderr
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["0001", "0002"]
    weights = [(tmp_path / "runs" / run / "model.safetensors") for run in ("0001", "0002")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    kinds = [line["kind"] for line in read_history(tmp_path / "runs" / "0002" / "history.jsonl")]
    assert kinds.count("start") == 2


def test_other_commands_run_as_if_alone(tmp_path):
    alone = run_command("recipes").stdout
    assert alone
    processes = start_processes(2, "recipes", streams=tmp_path)
    for process in processes:
        process.join()
    assert [(tmp_path / f"{rank}.out").read_text() for rank in range(2)] == [alone] * 2


def test_a_rank_without_other_processes_means_nothing(tmp_path, monkeypatch):
    command = [*arguments(tmp_path, "padded"), "--set=readout=last", "--set=bidirectional=true"]
    left_over = "import os\nos.environ['RANK'] = '1'\n"
    trained = run_command(*command, "--out", tmp_path / "run", before=left_over)
    assert trained.returncode == 0, trained.stderr
    assert f"saved in {tmp_path / 'run'}" in trained.stdout
    assert run_command("recipes", before=left_over).stdout


def test_the_first_process_tells_the_others_that_it_still_works(monkeypatch):
    sent = []

    def record(messages):
        sent.append(messages[0])

    def work():
        while len(sent) < 3:
            time.sleep(0.001)
        return "done"

    monkeypatch.setattr(processes_module, "_SIGN_OF_LIFE_SECONDS", 0.001)
    monkeypatch.setattr(distributed, "broadcast_object_list", record)
    assert Processes(0, 2).from_first(work) == "done"
    assert sent[:3] == [None] * 3
    assert sent[-1] == ("done", None)

    def receive(messages):
        messages[0] = sent.pop(0)

    monkeypatch.setattr(distributed, "broadcast_object_list", receive)
    assert Processes(1, 2).from_first(work) == "done"
    assert not sent


def test_signs_of_life_change_no_result(tmp_path):
    command = arguments(tmp_path, "ragged")
    often = "from bothways.training.loop import processes\nprocesses._SIGN_OF_LIFE_SECONDS = 0\n"
    train_in(2, tmp_path, *command, "--out", tmp_path / "seldom")
    train_in(2, tmp_path, *command, "--out", tmp_path / "often", before=often)
    for name in ("model.safetensors", "metrics.json"):
        seldom, after = ((tmp_path / run / name).read_bytes() for run in ("seldom", "often"))
        assert seldom == after, name


SLOW_STEPS = """
import time
from bothways.training.history import History
write = History.write
def slow(history, kind, facts):
    write(history, kind, facts)
    time.sleep(0.1)
History.write = slow
"""

TELL_BEFORE_JOINING = """
import signal
if rank == 1:
    signal.pause()
from bothways.training.loop import joining
wait = joining.wait_for_all
def tell(collective, *arguments):
    (folder / "joins").touch()
    wait(collective, *arguments)
joining.wait_for_all = tell
"""

FAIL_IN_THE_SECOND = """
from bothways.errors import DataError
from bothways.training import run
def fail(*arguments, **options):
    raise DataError("the disk of process 1 is gone")
if rank == 1:
    run.open_dataset = fail
"""

STOP_AFTER_THREE_STEPS = """
import signal
from bothways.training.history import History
write = History.write
def stop(history, kind, facts):
    write(history, kind, facts)
    if kind == "step" and facts["step"] == 3:
        signal.raise_signal(signal.SIGTERM)
History.write = stop
"""


def wait_for_step(folder, step):
    history = folder / "history.jsonl"
    while not any(line.get("step", 0) >= step for line in read_history(history)):
        time.sleep(0.01)
