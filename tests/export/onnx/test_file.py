"""ONNX files appear only if they give the answers of the model."""

import errno
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from random_models import random_model

from bothways.errors import CheckpointError, ConfigError, ExportError
from bothways.export import export_onnx
from bothways.export.onnx import file, layers, readouts
from bothways.export.onnx.nodes import Nodes, Rows
from bothways.models.loading import load

PAGE = (Path(__file__).parents[3] / "docs" / "guides" / "export.md").read_text()


def test_a_file_is_described(tmp_path):
    model, path = random_model(), tmp_path / "model.onnx"
    exported = export_onnx(model, path)
    assert exported.path == path
    assert exported.size_bytes == path.stat().st_size
    assert 0 < exported.comparison.difference < 1e-5
    facts = exported.facts()
    assert facts["opset"] == "17"
    assert facts["inputs"] == "float32 (batch, time, 3)"
    assert facts["logits"] == facts["probabilities"] == "float32 (batch, 4)"
    assert re.fullmatch(r"logits differ .* at most \S+e-0\d on 10 random batches", facts["checked"])
    assert list(tmp_path.iterdir()) == [path]


def _swap_gates(monkeypatch):
    order = {**layers._GATES, "GRU": ("reset", "update", "new")}
    monkeypatch.setattr(layers, "_GATES", order)


def _reset_before(monkeypatch):
    add = Nodes.add_many

    def changed(nodes, operator, *inputs, linear_before_reset=0, **more):
        return add(nodes, operator, *inputs, **more)

    monkeypatch.setattr(Nodes, "add_many", changed)


def _forget_the_lengths(monkeypatch):
    add = Nodes.add_many

    def changed(nodes, operator, *inputs, **more):
        return add(nodes, operator, *inputs[: 4 if operator == "GRU" else None], **more)

    monkeypatch.setattr(Nodes, "add_many", changed)


def _keep_the_padding(monkeypatch):
    monkeypatch.setattr(Rows, "masked", lambda rows, nodes, steps, *_, **__: steps)


def _wrong_readout(monkeypatch):
    monkeypatch.setitem(readouts._READOUTS, "Mean", readouts._max)


def _invalid_node(monkeypatch):
    def changed(nodes, *_):
        return nodes.add("Reshape", "inputs", nodes.integers(7, 7))

    monkeypatch.setitem(readouts._READOUTS, "Mean", changed)


@pytest.mark.parametrize(
    ("fault", "readout"),
    [
        (_swap_gates, "final"),
        (_reset_before, "final"),
        (_forget_the_lengths, "final"),
        (_keep_the_padding, "attention"),
        (_wrong_readout, "mean"),
        (_invalid_node, "mean"),
    ],
)
def test_a_wrong_graph_leaves_no_file(tmp_path, monkeypatch, fault, readout):
    model = random_model(cell="gru", readout=readout)
    fault(monkeypatch)
    expected = "differs from the model by|not all finite|graph is not valid"
    with pytest.raises(ExportError, match=expected) as caught:
        export_onnx(model, tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_failed_check_keeps_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "model.onnx").write_text("old")
    _swap_gates(monkeypatch)
    with pytest.raises(ExportError, match="Nothing was written"):
        export_onnx(random_model(cell="gru"), tmp_path / "model.onnx", force=True)
    assert (tmp_path / "model.onnx").read_text() == "old"


def test_a_model_with_nan_is_refused(tmp_path):
    model = random_model()
    with torch.no_grad():
        model.classifier.linear.bias[0] = torch.nan
    with pytest.raises(ExportError, match="the logits of the model on random sequences are not"):
        export_onnx(model, tmp_path / "model.onnx")


def test_an_existing_file_is_replaced_only_with_force(tmp_path):
    path, model = tmp_path / "model.onnx", random_model()
    path.write_text("old")
    with pytest.raises(ConfigError, match=r"model\.onnx exists; expected a new one"):
        export_onnx(model, path)
    assert path.read_text() == "old"
    assert export_onnx(model, path, force=True).size_bytes == path.stat().st_size


def test_a_full_disk_leaves_no_file(tmp_path, monkeypatch):
    def fail(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(file, "write_atomically", fail)
    with pytest.raises(OSError, match="No space left"):
        export_onnx(random_model(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_an_exported_file_is_not_exported_again(tmp_path):
    export_onnx(random_model(), tmp_path / "model.onnx")
    with pytest.raises(CheckpointError, match="weights of an exported model cannot be read"):
        export_onnx(load(tmp_path / "model.onnx"), tmp_path / "again.onnx")


def test_the_mode_of_the_model_is_not_changed(tmp_path):
    model = random_model(dropout=0.5, input_jitter=0.1, initial_state="normal")
    model.classifier.train()
    export_onnx(model, tmp_path / "model.onnx")
    assert model.classifier.training


def test_the_python_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = random_model(input_size=28)
    export_onnx(model, tmp_path / "model.onnx")
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (code,) = (block for block in blocks if "import onnxruntime" in block)
    names = {}
    exec(compile(code, "export.md", "exec"), names)
    sequences = [sequence.astype(np.float32) for sequence in names["sequences"]]
    assert capsys.readouterr().out == f"{model.predict(sequences).tolist()}\n"
