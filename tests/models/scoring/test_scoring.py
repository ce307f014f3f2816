"""Many files are predicted in several processes, part by part."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
from commands import refuse, run_command, succeed
from sample_files import write_table

from bothways import DataOptions, train
from bothways.errors import DataError, ProcessError
from bothways.models.scoring import (
    check_borders,
    part_file,
    plan_parts,
    score_in_processes,
    workers,
)

SMALL = {"hidden_size": 4, "steps": 5}


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


def fail(run, data, out):
    """Return the error of a prediction, the last line that it prints."""
    result = run_command("predict", run, data, "--out", out, "--workers", 1)
    assert result.returncode == 2
    return result.stderr.splitlines()[-1]


def table(out):
    return pd.concat([pd.read_parquet(path) for path in sorted(out.glob("*.parquet"))])


@pytest.mark.parametrize("run", ["gestures", "activities"])
def test_the_predictions_are_those_of_one_process(here, run, tmp_path):
    succeed("predict", f"runs/{run}", "in/*.parquet", "--out", tmp_path / "all.csv")
    expected = pd.read_csv(tmp_path / "all.csv")
    assert "40 predictions" in predict(run, tmp_path / "out", "--workers", 2)
    found = table(tmp_path / "out")
    assert set(found.pop("file")) == {f"in/day-{n}.parquet" for n in range(4)}
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
    assert "10 predictions" in printed
    after = [path.stat().st_mtime_ns for path in parts]
    assert [b == a for b, a in zip(before, after, strict=True)] == [True, False, True, True]


def test_half_written_parts_are_never_visible(here, tmp_path, monkeypatch):
    parts = plan_parts("runs/gestures", ["in/*.parquet"], tmp_path)
    monkeypatch.setattr(part_file, "_ROWS", 1)
    seen = []

    def answers():
        yield from ()
        seen.extend(tmp_path.iterdir())
        raise DataError("the file ends")

    with pytest.raises(DataError, match="the file ends"):
        part_file.write_part(parts[0].out, answers(), "model", "source")
    assert parts[0].out not in seen
    assert not list(tmp_path.iterdir())


def test_a_file_without_sequences_has_an_empty_part(tmp_path):
    info = part_file.write_part(tmp_path / "part.parquet", [], "model", "source")
    assert info == part_file.read_info(tmp_path / "part.parquet")
    assert (info.sequences, info.first, info.last) == (0, "", "")


def test_parts_of_another_model_are_refused(here, tmp_path):
    predict("gestures", tmp_path, "--workers", 1)
    printed = predict("activities", tmp_path, "--workers", 1, code=2)
    assert "has predictions for in/day-0.parquet by model" in printed
    part = next(tmp_path.glob("*.parquet"))
    part.write_bytes(b"PAR1 is not all")
    assert "has predictions for another file" in predict(
        "gestures", tmp_path, "--workers", 1, code=2
    )


def test_a_damaged_file_is_named_and_the_others_are_kept(here, tmp_path):
    (tmp_path / "in").mkdir()
    for path in (tmp_path / "in" / "a.parquet", tmp_path / "in" / "b.parquet"):
        shutil.copy("in/day-0.parquet", path)
    damaged = tmp_path / "in" / "b.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    message = fail("runs/gestures", tmp_path / "in", tmp_path / "out")
    assert "b.parquet is not a Parquet file, or is damaged" in message
    assert [path.name.partition("-")[0] for path in (tmp_path / "out").glob("*.parquet")] == ["a"]


def test_a_sequence_in_two_files_is_named(here, tmp_path):
    frame = pd.read_parquet("in/day-0.parquet")
    (tmp_path / "in").mkdir()
    frame[:15].to_parquet(tmp_path / "in" / "1.parquet", index=False)
    frame[15:].to_parquet(tmp_path / "in" / "2.parquet", index=False)
    message = fail("runs/gestures", tmp_path / "in", tmp_path / "out")
    name = frame.recording[15]
    assert frame.recording[14] == name
    assert f"sequence '{name}' is in {tmp_path}/in/1.parquet and in {tmp_path}/in/2" in message


def test_borders_are_checked_within_a_table_only(here, tmp_path):
    parts = plan_parts("runs/gestures", ["in/day-0.parquet", "in/day-1.parquet"], tmp_path)
    assert [part.follows for part in parts] == [None, None]
    check_borders(parts)


def test_a_file_that_is_named_twice_is_refused(here, tmp_path):
    message = refuse(
        "predict", "runs/gestures", "in/*.parquet", "in/day-1.parquet", "--out", tmp_path
    )
    assert message == "in/day-1.parquet is named twice; expected each file once. Omit one."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", 2], "--out is not given, but --workers and --engine write a file for each"),
        (["--engine", "spark", "--out", "out"], "--engine is 'spark'; expected local or ray"),
        (["--workers", 2, "--out", "gestures.csv"], "--out gestures.csv is a file, but"),
        (["--workers", 2, "--out", "out", "--force"], "--force was given, but --out is a folder"),
        (["--workers", 2, "--out", "out", "--format", "csv"], "--format csv was given, but --out"),
    ],
)
def test_contradictions_are_refused(here, arguments, message):
    assert message in refuse("predict", "runs/gestures", "in/*.parquet", *arguments)


def test_a_process_that_dies_is_reported(here, tmp_path, monkeypatch):
    parts = plan_parts("runs/gestures", ["in/*.parquet"], tmp_path)
    fork = workers.multiprocessing.get_context("fork")
    monkeypatch.setattr(workers.multiprocessing, "get_context", lambda method: fork)
    monkeypatch.setattr(workers, "score_part", lambda *arguments, **options: os._exit(9))
    with pytest.raises(ProcessError, match="a process that predicts has died"):
        list(score_in_processes("runs/gestures", parts, 2, threads=1))


def test_the_metadata_say_what_a_part_is(here, tmp_path):
    predict("gestures", tmp_path, "--workers", 1)
    (part,) = tmp_path.glob("day-0-*.parquet")
    info = part_file.read_info(part)
    assert (info.source, info.sequences) == ("in/day-0.parquet", 10)
    assert (info.first, info.last) == ("r0", "r9")
