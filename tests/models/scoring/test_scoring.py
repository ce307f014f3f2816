"""Many files are predicted in several processes, part by part."""

import multiprocessing
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import refuse, run_command, start_command, succeed
from sample_files import write_table

from bothways import DataOptions, load, train
from bothways.errors import ConfigError, DataError, ProcessError
from bothways.models.scoring import (
    check_complete,
    finished_parts,
    part_file,
    parts,
    plan_parts,
    score_in_processes,
    score_part,
    workers,
)
from bothways.models.scoring.part_file import Origin, PartInfo

SMALL = {"hidden_size": 4, "steps": 5}
ORIGIN = Origin("model", "/in/day.csv", "1", False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with files of sequences, a run and a run that labels time steps."""
    folder = tmp_path_factory.mktemp("scoring")
    for name, labels in (("gestures", "recording"), ("activities", "step")):
        table = folder / f"{name}.csv"
        write_table(table, np.random.default_rng(0), labels)
        options = DataOptions(target="step") if labels == "step" else None
        train(str(table), options=options, out=folder / "runs" / name, **SMALL)
    frame = pd.read_csv(folder / "gestures.csv").drop(columns="label")
    numbers = frame.recording.str[1:].astype(int)
    (folder / "in").mkdir()
    for n in range(4):
        frame[numbers // 10 == n].to_parquet(folder / "in" / f"day-{n}.parquet", index=False)
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def predict(run, out, *arguments, code=0):
    """Predict all files in a child process; return what it printed to standard error."""
    result = run_command("predict", f"runs/{run}", "in/*.parquet", "--out", out, *arguments)
    assert result.returncode == code, result.stderr
    return result.stderr


def fail(run, *data, out):
    """Return the lines that a prediction prints, which ends with an error."""
    result = run_command("predict", run, *data, "--out", out, "--workers", 1)
    assert result.returncode == 2
    return result.stderr.splitlines()


def plan(*sources, out, **options):
    return plan_parts("runs/gestures", sources, out, lambda note: None, **options)


def table(out):
    return pd.concat([pd.read_parquet(path) for path in sorted(out.glob("*.parquet"))])


@pytest.mark.parametrize("run", ["gestures", "activities"])
def test_the_predictions_are_those_of_one_process(here, run, tmp_path):
    succeed("predict", f"runs/{run}", "in/*.parquet", "--out", tmp_path / "all.csv")
    expected = pd.read_csv(tmp_path / "all.csv")
    printed = predict(run, tmp_path / "out", "--workers", 2)
    assert f"40 predictions in 4 files of {tmp_path}/out, 40 of them new" in printed
    assert "found 4 files in in/*.parquet" in printed
    found = table(tmp_path / "out")
    folder = Path("in").absolute()
    assert set(found.pop("file")) == {f"{folder}/day-{n}.parquet" for n in range(4)}
    assert list(found.columns) == list(expected.columns)
    for name, column in found.items():
        if name.startswith("probability"):
            np.testing.assert_allclose(column, expected[name], rtol=1e-5)
        else:
            assert column.tolist() == expected[name].tolist()


def test_finished_parts_are_kept(here, tmp_path):
    predict("gestures", tmp_path, "--workers", 1)
    parts = sorted(tmp_path.glob("*.parquet"))
    before = [path.stat().st_mtime_ns for path in parts]
    parts[1].unlink()
    printed = predict("gestures", tmp_path, "--workers", 2)
    assert "3 of 4 files are done" in printed
    assert "40 predictions in 4 files" in printed
    assert "10 of them new" in printed
    after = [path.stat().st_mtime_ns for path in parts]
    assert [b == a for b, a in zip(before, after, strict=True)] == [True, False, True, True]


def test_a_place_is_an_absolute_one(here, tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for n, name in enumerate("ab"):
        shutil.copy(f"in/day-{n}.parquet", tmp_path / name / "d.parquet")
    (tmp_path / "link").symlink_to("a")
    (absolute,) = plan(str(tmp_path / "a"), out=tmp_path)
    assert absolute.origin.source == f"{tmp_path}/a/d.parquet"
    run = Path("runs/gestures").absolute()
    found = set()
    for place, name in (("a", "d.parquet"), ("a", "../a"), (".", "link/*.parquet"), ("b", ".")):
        monkeypatch.chdir(tmp_path / place)
        (part,) = plan_parts(run, [name], tmp_path, print)
        found.add(part.out)
        assert (part.out == absolute.out) == (place != "b")
    assert len(found) == 2


def test_a_changed_file_is_predicted_again(here, tmp_path):
    (tmp_path / "in").mkdir()
    for n in range(2):
        shutil.copy(f"in/day-{n}.parquet", tmp_path / "in" / f"{n}.parquet")
    arguments = ("predict", "runs/gestures", tmp_path / "in", "--out", tmp_path / "out")
    run_command(*arguments, "--workers", 1)
    first, second = sorted((tmp_path / "out").glob("*.parquet"))
    before = first.stat().st_mtime_ns
    shutil.copy("in/day-3.parquet", tmp_path / "in" / "1.parquet")
    result = run_command(*arguments, "--workers", 1)
    assert result.returncode == 0
    assert "1 of 2 files are done\n1 file changed since the prediction" in result.stderr
    assert "20 predictions in 2 files" in result.stderr
    assert first.stat().st_mtime_ns == before
    assert set(pd.read_parquet(second).sequence) == {f"r{n}" for n in range(30, 40)}


def test_a_changed_file_of_a_folder_changes_the_folder(tmp_path):
    (tmp_path / "a.csv").write_text("t,x\n0,1\n")
    before = parts._version(tmp_path)
    assert parts._version(tmp_path) == before
    (tmp_path / "a.csv").write_text("t,x\n0,1\n1,1\n")
    assert parts._version(tmp_path) != before


def test_windows_and_recordings_are_not_mixed(here, tmp_path):
    (part,) = plan("in/day-0.parquet", out=tmp_path)
    part_file.write_part(part.out, [], part.origin)
    assert len(finished_parts([part], tmp_path)) == 1
    other = plan("in/day-1.parquet", out=tmp_path, aggregate=True)
    with pytest.raises(
        ConfigError, match=r"has predictions for windows; expected those for recordings \(--agg"
    ):
        finished_parts(other, tmp_path)


def test_half_written_parts_are_never_visible(here, tmp_path, monkeypatch):
    parts = plan("in/*.parquet", out=tmp_path)
    monkeypatch.setattr(part_file, "_ROWS", 1)
    seen = []

    def answers():
        yield from ()
        seen.extend(tmp_path.iterdir())
        raise ValueError("the file ends")

    with pytest.raises(ValueError, match="the file ends"):
        part_file.write_part(parts[0].out, answers(), ORIGIN)
    assert parts[0].out not in seen
    assert not list(tmp_path.iterdir())


def test_a_file_without_sequences_has_an_empty_part(tmp_path):
    info = part_file.write_part(tmp_path / "part.parquet", [], ORIGIN)
    assert info == part_file.read_info(tmp_path / "part.parquet")
    assert (info.sequences, info.first, info.last) == (0, None, None)


def test_parts_of_another_model_are_refused(here, tmp_path):
    predict("gestures", tmp_path, "--workers", 1)
    printed = predict("activities", tmp_path, "--workers", 1, code=2)
    assert "/in/day-0.parquet by model" in printed
    part = next(tmp_path.glob("*.parquet"))
    part.write_bytes(b"PAR1 is not all")
    printed = predict("gestures", tmp_path, "--workers", 1, code=2)
    assert f"{part} is not a complete file of predictions by this version; expected" in printed


def test_damaged_files_are_named_after_the_others_are_predicted(here, tmp_path):
    (tmp_path / "in").mkdir()
    for n, name in enumerate("abcd"):
        shutil.copy(f"in/day-{n}.parquet", tmp_path / "in" / f"{name}.parquet")
    damaged = [tmp_path / "in" / f"{name}.parquet" for name in "ac"]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-9])
    *lines, last = fail("runs/gestures", tmp_path / "in", out=tmp_path / "out")
    for path in damaged:
        assert any(
            f"{path} is not a Parquet file, or is damaged: Parquet magic bytes not found in "
            "footer. Copy the file again." in line
            for line in lines
        )
    assert f"2 files of 4 cannot be predicted: {damaged[0]}, {damaged[1]}, for" in last
    done = {path.name.partition("-")[0] for path in (tmp_path / "out").glob("*.parquet")}
    assert done == {"b", "d"}


def test_of_many_damaged_files_some_are_named(here, tmp_path):
    planned = [parts.Part(Path(f"{n}.csv"), Path(f"{n}.parquet"), ORIGIN) for n in range(1000)]
    with pytest.raises(
        DataError, match=r"1,000 files of 1,000 .*: 0.csv, .*4.csv and 995 more, fo"
    ):
        check_complete(planned, {})


def test_a_sequence_in_two_files_is_named(here, tmp_path):
    frame = pd.read_parquet("in/day-0.parquet")
    (tmp_path / "in").mkdir()
    paths = [tmp_path / "in" / f"{n}.parquet" for n in (1, 2)]
    frame[:15].to_parquet(paths[0], index=False)
    frame[15:].to_parquet(paths[1], index=False)
    name = frame.recording[15]
    assert frame.recording[14] == name
    for n, sources in enumerate(([tmp_path / "in"], paths)):
        message = fail("runs/gestures", *sources, out=tmp_path / f"out-{n}")[-1]
        assert f"sequence '{name}' is in {tmp_path}/in/1.parquet and in {tmp_path}/in/2" in message


def infos(*firsts_and_lasts):
    """Return parts and what is known of them: names of the first and the last sequence, or ()."""
    planned, known = [], {}
    for n, names in enumerate(firsts_and_lasts):
        out = Path(f"{n}.parquet")
        origin = Origin("model", f"/{n}.csv", "1", False)
        planned.append(parts.Part(Path(f"{n}.csv"), out, origin))
        known[out] = PartInfo(origin, len(names), *(names or (None, None)))
    return planned, known


def test_files_without_sequences_hide_no_border():
    with pytest.raises(
        DataError, match=r"'b' is in /0.csv and in /2.csv, which were predicted sep"
    ):
        check_complete(*infos("ab", (), "bc"))


@pytest.mark.parametrize("names", [[(None, None)] * 2, ["ab", "ca"], [(), ()]])
def test_numbers_and_other_names_are_no_border(names):
    check_complete(*infos(*names))


def test_numbers_of_sequences_are_no_names(here, tmp_path):
    for n in range(2):
        np.save(tmp_path / f"{n}.npy", np.zeros((1, 3, 3), np.float32))
    model = load("runs/gestures")
    for part in plan(*map(str, tmp_path.glob("*.npy")), out=tmp_path):
        info = score_part(model, part).info
        assert (info.sequences, info.first, info.last) == (1, None, None)


def test_a_file_that_is_named_twice_is_refused(here, tmp_path):
    with pytest.raises(
        ConfigError, match=r"^in/day-1.parquet is named twice; expected each file o"
    ):
        plan("in/*.parquet", "in/day-1.parquet", out=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", 2], "--out is not given, but --workers and --engine write a file for each"),
        (["--engine", "spark", "--out", "out"], "--engine is 'spark'; expected local or ray"),
        (["--workers", 2, "--out", "gestures.csv"], "--out gestures.csv is a file, but"),
        (["--workers", 2, "--out", "new.csv"], "--out new.csv ends in .csv, but --workers"),
        (["--workers", 2, "--out", "out", "--force"], "--force was given, but --out is a folder"),
        (["--workers", 2, "--out", "out", "--format", "csv"], "--format csv was given, but --out"),
    ],
)
def test_contradictions_are_refused(here, arguments, message):
    assert message in refuse("predict", "runs/gestures", "in/*.parquet", *arguments)


def test_a_process_that_dies_is_reported(here, tmp_path, monkeypatch):
    parts = plan("in/*.parquet", out=tmp_path)
    fork = workers.multiprocessing.get_context("fork")
    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda method: fork)
    monkeypatch.setattr(workers, "score_part", lambda *arguments, **options: os._exit(9))
    with pytest.raises(ProcessError, match="a process that predicts has died"):
        list(score_in_processes("runs/gestures", parts, 2, threads=1))


def test_the_metadata_say_what_a_part_is(here, tmp_path):
    predict("gestures", tmp_path, "--workers", 1)
    (part,) = tmp_path.glob("day-0-*.parquet")
    info = part_file.read_info(part)
    assert (info.origin.source, info.sequences) == (str(Path("in/day-0.parquet").absolute()), 10)
    assert (info.first, info.last) == ("r0", "r9")


def test_a_leftover_of_a_killed_worker_is_removed(here, tmp_path):
    (part,) = plan("in/day-0.parquet", out=tmp_path)
    fork = multiprocessing.get_context("fork")
    dead = fork.Process(target=part_file.write_part, args=[part.out, Dying(), part.origin])
    dead.start()
    dead.join()
    assert len(list(tmp_path.glob(".*.tmp"))) == 1
    assert not list(tmp_path.glob("[!.]*"))
    predict("gestures", tmp_path, "--workers", 1)
    assert not list(tmp_path.glob(".*"))
    assert len(pd.read_parquet(tmp_path)) == 40


class Dying:
    """Answers whose process dies."""

    def __iter__(self):
        os._exit(9)


def workers_of(command):
    """Return the folders in /proc of the processes that predict."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == command and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(folder)
    return found


@pytest.mark.parametrize(
    ("number", "sent_to", "moment", "code"),
    [
        (signal.SIGINT, "group", "start", 130),
        (signal.SIGINT, "group", "work", 130),
        (signal.SIGTERM, "command", "work", 130),
        (signal.SIGKILL, "command", "work", -signal.SIGKILL),
    ],
)
def test_the_workers_end_with_the_command(folder, tmp_path, number, sent_to, moment, code):
    """A worker starts, or waits for its file, which is a named pipe."""
    os.mkfifo(tmp_path / "in.jsonl")
    arguments = ["predict", "runs/gestures", tmp_path / "in.jsonl", "--out", tmp_path / "out"]
    own_group = {"folder": folder, "before": "import os; os.setsid()"}
    command = start_command(*arguments, "--workers", 1, output=tmp_path / "log", **own_group)
    (tmp_path / "in.jsonl").write_bytes(b"12345678")  # read when the parts are planned
    while not (workers := workers_of(command.pid)):
        assert command.is_alive()
    if moment == "work":
        os.close(os.open(tmp_path / "in.jsonl", os.O_WRONLY))
    if sent_to == "group":
        os.killpg(command.pid, number)
    else:
        os.kill(command.pid, number)
    command.join()
    assert command.exitcode == code
    while any(worker.exists() for worker in workers):
        time.sleep(0.05)
    said = "" if code < 0 else "bothways: interrupted; everything saved so far is kept.\n"
    assert (tmp_path / "log").read_text() == said
    assert not list((tmp_path / "out").iterdir())
