"""Reports that the commands write."""

import json

import numpy as np
import pytest
from commands import invoke

from bothways import train
from bothways.errors import TrainingInterrupted
from bothways.training.request import make_request
from bothways.training.run import start
from bothways.training.run_directory import RunFolder

SMALL = ["--set=hidden_size=4", "--set=num_layers=1", "--set=epochs=1", "--threads=1"]


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = np.arange(24) % 2
    inputs = np.random.default_rng(0).normal(labels[:, None, None], 1, (24, 5, 2))
    np.savez("waves.npz", inputs=inputs.astype(np.float32), labels=labels)
    return "waves.npz"


def test_training_writes_a_report(source, tmp_path):
    result = invoke("train", source, *SMALL)
    assert "report:     runs/0001/report.html" in result.stdout
    assert (tmp_path / "runs/0001/report.html").stat().st_size > 10_000


def test_no_report_is_written_on_request(source, tmp_path):
    result = invoke("train", source, "--no-report", *SMALL)
    assert result.exit_code == 0
    assert "report" not in result.stdout
    assert not (tmp_path / "runs/0001/report.html").exists()


@pytest.mark.parametrize(
    ("started_with", "resumed_with", "is_written"),
    [
        (True, [], True),
        (False, [], False),
        (False, ["--report"], True),
        (True, ["--no-report"], False),
    ],
)
def test_a_run_that_is_resumed_remembers_whether_to_write_a_report(
    source, started_with, resumed_with, is_written
):
    settings = {"hidden_size": 4, "num_layers": 1, "steps": 2, "epochs": None}
    request = make_request(source, None, None, settings, report=started_with)
    with pytest.raises(TrainingInterrupted):
        start(request, out="run", should_stop=lambda: True)
    result = invoke("train", "run", "--resume", *resumed_with)
    assert result.exit_code == 0
    assert ("report:     run/report.html" in result.stdout) == is_written


def test_a_request_without_this_choice_can_be_read(source):
    run = train(source, out="run", hidden_size=4, num_layers=1, steps=2)
    folder = RunFolder(run.folder)
    values = json.loads(folder.request.read_text())
    assert values.pop("report") is True
    folder.request.write_text(json.dumps(values))
    assert folder.read_request().report


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("a chart\nfailed"), "no report: a chart failed"),
        (OSError(28, "No space left on device"), "no report: [Errno 28] No space left on device"),
        (
            KeyboardInterrupt(),
            "no report: interrupted; to write it, run: bothways report runs/0001",
        ),
    ],
)
def test_a_report_that_fails_does_not_fail_the_run(source, tmp_path, monkeypatch, error, message):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("bothways.report.write_report", fail)
    result = invoke("train", source, *SMALL)
    assert result.exit_code == 0
    assert message in result.stderr
    assert "saved in runs/0001; to use it" in result.stdout
    assert (tmp_path / "runs/0001/metrics.json").exists()


def test_a_comparison_replaces_an_earlier_one_and_no_other_file(source, tmp_path):
    for seed in (0, 1):
        invoke("train", source, "--test=0.3", "--no-report", f"--seed={seed}", *SMALL)
    runs = ["runs/0001", "runs/0002"]
    file = tmp_path / "comparison-0001-0002.html"
    for _ in range(2):  # the second comparison replaces the first
        result = invoke("report", *runs)
        assert result.stdout == f"report: {file.name}\n"
    file.write_text("<!doctype html><title>mine</title>")
    for arguments in (runs, [*runs, "--out", file.name]):
        refused = invoke("report", *arguments)
        assert refused.exit_code == 2
        assert f"output file {file.name} exists" in refused.stderr
    assert invoke("report", *runs, "--force").exit_code == 0


@pytest.mark.filterwarnings("default")  # the command prints warnings
def test_a_report_without_data_is_announced(source, tmp_path):
    invoke("train", source, "--no-report", *SMALL)
    (tmp_path / source).unlink()
    result = invoke("report", "runs/0001")
    assert result.exit_code == 0
    assert "warning: the report shows no single sequences: data" in result.stderr
    assert "waves.npz' is not found" in result.stderr
