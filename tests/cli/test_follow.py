"""`bothways predict RUN - --follow`, in this process and with signals and pipes."""

import json
import os
import signal
import time
import warnings

import pytest
from commands import refuse, start_command, succeed
from random_models import random_model

from bothways.data.options import DataOptions
from bothways.models.manifest import Preprocessing

FEATURES = ("x", "y", "z")
ROW = '{{"id": "{0}", "t": {1}, "x": {1}, "y": -1, "z": 0.5}}\n'


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Return a folder with a forward classifier, a labeler, and a bidirectional classifier."""
    folder = tmp_path_factory.mktemp("models")
    reading = DataOptions(offsets=())
    preprocessing = Preprocessing(features=FEATURES, reading=reading, training_range=(-2, 9))
    for name, settings in {
        "forward": {},
        "labeler": {"readout": "step", "stem_channels": 4, "stem_stride": 1},
        "both": {"bidirectional": True},
    }.items():
        settings = {"bidirectional": False, **settings}
        random_model(preprocessing=preprocessing, **settings).save(folder / name)
    return folder


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_json_lines(models):
    text = ROW.format("a", 1) + "oops\n" + ROW.format("b", 7) + ROW.format("a", 2)
    result = succeed("predict", models / "forward", "-", "--follow", stdin=text)
    answers = lines_of(result.stdout)
    assert [(a["sequence"], a["step"], a["time"]) for a in answers] == [
        ("a", 0, 1),
        ("b", 0, 7),
        ("a", 1, 2),
    ]
    assert all(sum(a["probabilities"].values()) == pytest.approx(1) for a in answers)
    assert result.stderr == (
        "bothways: line 2 is not JSON (Expecting value); expected an object. Fix it.\n"
    )


def test_tables_and_segments(models):
    text = "id,x,y,z\n" + "a,1,2,3\n" * 9 + "b,1,2,3"
    arguments = ("predict", models / "labeler", "-", "--follow", "--segments")
    segments = lines_of(succeed(*arguments, stdin=text).stdout)
    ends = {}
    for segment in segments:
        assert segment["start"] == ends.get(segment["sequence"], 0)
        ends[segment["sequence"]] = segment["end"]
    assert ends == {"a": 9, "b": 1}


def test_warnings_and_limits_are_one_line_each(models):
    text = "".join(ROW.format(n, 100 + n) for n in range(5))
    arguments = ("predict", models / "forward", "-", "--follow", "--max-sequences", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # the command prints them
        result = succeed(*arguments, stdin=text)
    assert len(lines_of(result.stdout)) == 3
    limit, warning = result.stderr.splitlines()
    assert warning.startswith("bothways: warning: inputs range from ")
    assert limit.startswith("bothways: line 4 opens the sequence '3', but 3 are open")


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_no_records(models, text):
    result = succeed("predict", models / "forward", "-", "--follow", stdin=text)
    assert (result.stdout, result.stderr) == ("", "")


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ("both", ["-", "--follow"], "bidirectional is true, .* Train with --set bidirectional=f"),
        ("forward", ["-", "--follow", "--segments"], "the model labels sequences; .* Omit --seg"),
        ("forward", ["x.csv", "--follow"], "FILE is x.csv but --follow reads standard input"),
        ("forward", ["-", "--follow", "--out", "a.csv"], "--out was given with --follow"),
        ("forward", ["-", "--follow", "--format", "csv"], "--format was given with --follow"),
        ("forward", ["-", "--follow", "--aggregate"], "--aggregate was given with --follow"),
        ("forward", ["-", "--follow", "--device", "mps"], "--device was given with --follow"),
        ("forward", ["-"], "FILE - was given without --follow; expected both. Run: bothways"),
        ("forward", ["a.csv", "--segments"], "--segments was given without --follow"),
        ("forward", ["a.csv", "--max-sequences", "3"], "--max-sequences was given without"),
    ],
)
def test_refusals(models, model, arguments, message):
    with pytest.raises(ValueError, match=message):
        raise ValueError(refuse("predict", models / model, *arguments, stdin=ROW.format("a", 1)))


def test_a_table_without_the_columns_of_training(models):
    message = refuse("predict", models / "forward", "-", "--follow", stdin="id,x,y\n1,2,3\n")
    assert message.startswith("the first line names the columns id, x, y, without 'z'")


def start(models, model, folder, *arguments, output):
    """Start the command; return its process, and a pipe to its standard input."""
    os.mkfifo(folder / "in")
    process = start_command(
        *("predict", models / model, "-", "--follow", *arguments),
        output=output,
        errors=folder / "errors",
        folder=folder,
        before="sys.stdin = open('in')",
    )
    return process, (folder / "in").open("w", buffering=1)


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_all_sequences(models, tmp_path, number):
    output = tmp_path / "out"
    process, source = start(models, "labeler", tmp_path, output=output)
    with source:
        source.write("".join(ROW.format("a", n) for n in range(6)))
        wait_until(lambda: output.exists() and output.read_text().count("\n") == 2)  # at once
        os.kill(process.pid, number)
        process.join(60)
    assert (process.exitcode, (tmp_path / "errors").read_text()) == (0, "")
    assert [answer["step"] for answer in lines_of(output.read_text())] == list(range(6))


def test_a_closed_pipe_ends_the_command(models, tmp_path):
    os.mkfifo(tmp_path / "out")
    reading = os.open(tmp_path / "out", os.O_RDONLY | os.O_NONBLOCK)  # before the child writes
    process, source = start(models, "forward", tmp_path, output=tmp_path / "out")
    os.set_blocking(reading, True)
    with os.fdopen(reading) as answers:
        source.write(ROW.format("a", 0))
        assert json.loads(answers.readline())["step"] == 0
    source.write(ROW.format("a", 1))
    process.join(60)
    source.close()
    assert (process.exitcode, (tmp_path / "errors").read_text()) == (1, "")
