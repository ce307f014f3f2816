"""`bothways predict RUN - --follow`, in this process and with signals and pipes."""

import fcntl
import json
import os
import signal
import termios
import time

import pytest
from commands import refuse, run_command, start_command
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


def follow(models, model, folder, text, *arguments, before="sys.stdin = open('in')"):
    """Run the command on a text; return its exit code and what it printed."""
    (folder / "in").write_text(text)
    arguments = ("predict", models / model, "-", "--follow", *arguments)
    return run_command(*arguments, folder=folder, before=before)


def test_json_lines(models, tmp_path):
    text = ROW.format("a", 1) + "oops\n" + ROW.format("b", 7) + ROW.format("a", 2)
    result = follow(models, "forward", tmp_path, text)
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


def test_problems_are_in_the_order_of_the_lines(models, tmp_path):
    rows = [ROW.format("a", 5), ROW.format("a", 4), "oops\n", '{"id": "b", "end": true}\n']
    result = follow(models, "forward", tmp_path, "started\n" + "".join(rows) + '{"id": "a"')
    assert [line.split()[1:3] for line in result.stderr.splitlines()] == [
        ["line", "1"],
        ["line", "3:"],
        ["line", "4"],
        ["line", "5"],
        ["line", "6"],
    ]
    assert len(lines_of(result.stdout)) == 1


def test_tables_and_segments(models, tmp_path):
    text = "id,x,y,z\n" + "a,1,2,3\n" * 9 + "b,1,2,3"
    segments = lines_of(follow(models, "labeler", tmp_path, text, "--segments").stdout)
    ends = {}
    for segment in segments:
        assert segment["start"] == ends.get(segment["sequence"], 0)
        ends[segment["sequence"]] = segment["end"]
    assert ends == {"a": 9, "b": 1}


def test_warnings_and_limits_are_one_line_each(models, tmp_path):
    text = "".join(ROW.format(n, 100 + n) for n in range(5))
    result = follow(models, "forward", tmp_path, text, "--max-sequences", 3)
    assert len(lines_of(result.stdout)) == 3
    warning, limit = result.stderr.splitlines()
    assert warning.startswith("bothways: warning: inputs range from ")
    assert limit.startswith("bothways: line 4 opens the sequence '3', but 3 are open")


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_no_records(models, tmp_path, text):
    result = follow(models, "forward", tmp_path, text)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ("both", ["-", "--follow"], "bidirectional is true, .* Train with --set bidirectional=f"),
        (
            "forward",
            ["-", "--follow", "--segments"],
            "the model labels sequences; .* Do not set it",
        ),
        ("forward", ["x.csv", "--follow"], "FILE is x.csv but --follow reads standard input"),
        ("forward", ["-", "--follow", "--out", "a.csv"], "--out was given with --follow"),
        ("forward", ["-", "--follow", "--format", "csv"], "--format was given with --follow"),
        ("forward", ["-", "--follow", "--aggregate"], "--aggregate was given with --follow"),
        ("forward", ["-", "--follow", "--force"], "--force was given with --follow"),
        ("forward", ["-", "--follow", "--workers", "2"], "--workers was given with --follow"),
        ("forward", ["-", "--follow", "--engine", "ray"], "--engine was given with --follow"),
        ("forward", ["-", "--follow", "--device", "mps"], "--device was given with --follow"),
        ("forward", ["-"], "FILE - was given without --follow; expected both. Run: bothways"),
        ("forward", ["a.csv", "--segments"], "--segments was given without --follow"),
        ("forward", ["a.csv", "--max-sequences", "3"], "--max-sequences was given without"),
    ],
)
def test_refusals(models, model, arguments, message):
    with pytest.raises(ValueError, match=message):
        raise ValueError(refuse("predict", models / model, *arguments, stdin=ROW.format("a", 1)))


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        ("stdin", "standard input is closed; expected lines of records. Run: PROGRAM | bothways"),
        ("stdout", "standard output is closed; expected an open one. Redirect it, for example"),
    ],
)
def test_closed_streams(models, tmp_path, stream, message):
    result = follow(models, "forward", tmp_path, "", before=f"sys.{stream} = None")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"bothways: {message}")
    assert result.stderr.count("\n") == 1


def start(models, model, folder, *arguments, output, before=""):
    """Start the command; return its process, and a pipe to its standard input."""
    os.mkfifo(folder / "in")
    process = start_command(
        *("predict", models / model, "-", "--follow", *arguments),
        output=output,
        errors=folder / "errors",
        folder=folder,
        before=f"sys.stdin = open('in')\n{before}",
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


def start_unread(models, folder, **options):
    """Start the command, with 1200 records and a reader that does not read; return all three."""
    os.mkfifo(folder / "out")
    answers = os.open(folder / "out", os.O_RDONLY | os.O_NONBLOCK)  # before the child writes
    process, source = start(models, "forward", folder, output=folder / "out", **options)
    source.write("".join(ROW.format("a", n) for n in range(1200)))
    waiting = bytearray(4)

    def has_begun():
        fcntl.ioctl(answers, termios.FIONREAD, waiting)
        return any(waiting)

    wait_until(has_begun)  # all answers are more than a pipe holds
    os.set_blocking(answers, True)
    return process, source, os.fdopen(answers)


@pytest.mark.parametrize(
    ("signals", "before"),
    [(2, ""), (1, "from bothways.cli.predictions import streams; streams._PATIENCE_SECONDS = 0.1")],
    ids=["second signal", "no patience"],
)
def test_signals_end_the_command_if_nobody_reads(models, tmp_path, signals, before):
    process, source, answers = start_unread(models, tmp_path, before=before)
    with source, answers:
        for _ in range(signals):
            os.kill(process.pid, signal.SIGTERM)
            time.sleep(0.05)  # two signals at once are one
        process.join(60)
        text = answers.read()
    assert process.exitcode == 130
    assert text.endswith("}\n")
    assert [answer["step"] for answer in lines_of(text)] == list(range(text.count("\n")))
    assert "bothways: interrupted" in (tmp_path / "errors").read_text()


def test_all_is_answered_after_a_signal_if_the_reader_reads(models, tmp_path):
    process, source, answers = start_unread(models, tmp_path)
    with source, answers:
        os.kill(process.pid, signal.SIGTERM)
        assert [answer["step"] for answer in lines_of(answers.read())] == list(range(1200))
        process.join(60)
    assert process.exitcode == 0


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
