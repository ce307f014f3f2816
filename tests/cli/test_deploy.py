"""The command export, and the commands that use exported files."""

import csv
import io

import numpy as np
import pytest
from commands import refuse, succeed
from random_models import random_model

from bothways.export.onnx import layers
from bothways.models.loading import load

SMALL = [
    "--set=cell=lstm",
    "--set=hidden_size=4",
    "--set=num_layers=1",
    "--set=epochs=1",
    "--threads=1",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a finished run, next to its data."""
    folder = tmp_path_factory.mktemp("ship")
    generator = np.random.default_rng(0)
    labels = np.array(["low", "high"])[np.arange(40) % 2]
    inputs = generator.normal(np.arange(40)[:, None, None] % 2, 1, (40, 6, 2)).astype(np.float32)
    np.savez(folder / "waves.npz", inputs=inputs, labels=labels)
    succeed("train", folder / "waves.npz", "--test", "0.3", "--out", folder / "run", *SMALL)
    return folder / "run"


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_an_exported_file_predicts_as_its_run(run, tmp_path):
    path = tmp_path / "model.onnx"
    printed = succeed("export", run, "--to", path).stdout
    assert f"written        {path}, {path.stat().st_size:,} bytes\n" in printed
    assert "opset          17\n" in printed
    assert "inputs         float32 (batch, time, 2)\n" in printed
    assert "checked        logits differ from the model by at most " in printed
    assert printed.endswith(f"\nto use it, run: bothways predict {path} FILE\n")
    data = run.parent / "waves.npz"
    found, expected = (table(succeed("predict", model, data).stdout) for model in (path, run))
    assert [row["label"] for row in found] == [row["label"] for row in expected]
    for column in ("probability_low", "probability_high"):
        values = ([float(row[column]) for row in rows] for rows in (found, expected))
        np.testing.assert_allclose(*values, rtol=0, atol=1e-5)  # float32, in another order
    first = succeed("evaluate", path, data).stdout.splitlines()[0]
    accuracy = load(run).predict_proba(np.load(data)["inputs"]).argmax(axis=1)
    names = np.array(load(run).classes)[accuracy]
    hits = int((names == np.load(data)["labels"]).sum())
    assert f"{hits} / 40" in first


def test_an_exported_file_runs_on_the_cpu_only(run, tmp_path):
    succeed("export", run, "--to", tmp_path / "model.onnx")
    arguments = tmp_path / "model.onnx", run.parent / "waves.npz"
    for command in ("predict", "evaluate"):
        succeed(command, *arguments, "--device", "auto")
        message = refuse(command, *arguments, "--device", "cuda")
        assert "is an exported file, which runs on the CPU; expected auto or cpu" in message


def test_quantize_reports_what_it_changes(run, tmp_path):
    printed = succeed("export", run, "--to", tmp_path / "small.onnx", "--quantize").stdout
    for name in ("quantized", "size", "accuracy", "time"):
        assert any(line.startswith(f"{name} ") for line in printed.splitlines())
    assert "% after, on test" in printed


def test_quantize_without_the_data_of_the_run(tmp_path):
    random_model().save(tmp_path / "model")
    arguments = tmp_path / "model", "--to", tmp_path / "small.onnx", "--quantize"
    assert "not measured: the run has no test" in succeed("export", *arguments).stdout


def test_a_failed_check_exits_with_2_and_leaves_no_file(run, tmp_path, monkeypatch):
    order = {**layers._GATES, "LSTM": ("input", "forget", "cell", "output")}
    monkeypatch.setattr(layers, "_GATES", order)
    message = refuse("export", run, "--to", tmp_path / "model.onnx")
    assert message.startswith("the exported model differs from the model by 0.")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_refused(run, tmp_path):
    path = tmp_path / "model.onnx"
    assert "expected .onnx" in refuse("export", run, "--to", tmp_path / "model.tflite")
    assert "does not exist" in refuse("export", run, "--to", tmp_path / "no" / "model.onnx")
    assert "is not a model or run" in refuse("export", tmp_path / "missing", "--to", path)
    path.write_text("mine")
    assert "--force" in refuse("export", run, "--to", path)
    succeed("export", run, "--to", path, "--force")
    assert "weights of an exported model" in refuse("export", path, "--to", tmp_path / "b.onnx")


def test_a_damaged_file_is_one_line(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07broken")
    np.save(tmp_path / "new.npy", np.ones((2, 4, 3), np.float32))
    message = refuse("predict", tmp_path / "model.onnx", tmp_path / "new.npy")
    assert "model.onnx" in message
    message = refuse("evaluate", tmp_path / "model.onnx", "mnist")
    assert "Export the model again" in message


def test_contradicting_weights_are_refused(run, tmp_path):
    message = refuse(
        "export", run, "--to", tmp_path / "m.onnx", "--quantize", "--weights", "float32"
    )
    assert "--quantize was given with --weights float32; expected one of them" in message


def test_exported_files_are_described(run, tmp_path):
    succeed("export", run, "--to", tmp_path / "m.onnx")
    told = succeed("inspect", tmp_path / "m.onnx").stdout
    assert "onnxruntime" in told
    model = next(line for line in told.splitlines() if line.startswith("model"))
    assert model.split() == succeed("inspect", run).stdout.splitlines()[0].split()
