"""Quantized ONNX files."""

import logging

import numpy as np
import onnx
import pytest
import torch
from random_models import random_model

from bothways.data.sequences import Sequences
from bothways.errors import ConfigError, ExportError
from bothways.export import export_onnx, export_quantized
from bothways.export.onnx import quantization
from bothways.models.loading import load

BIG = {"hidden_size": 32, "num_layers": 2}


def labeled(count=12):
    inputs = np.random.default_rng(0).normal(size=(count, 6, 3)).astype(np.float32)
    return Sequences.from_padded(inputs, labels=np.arange(count) % 4)


@pytest.mark.parametrize("readout", ["last", "final", "mean", "max", "attention", "flatten"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_both_directions_and_all_readouts(tmp_path, readout, bidirectional):
    model = random_model(readout=readout, bidirectional=bidirectional, **BIG)
    plain = export_onnx(model, tmp_path / "float32.onnx")
    exported = export_quantized(model, tmp_path / "int8.onnx")
    assert exported.file.size_bytes == (tmp_path / "int8.onnx").stat().st_size
    assert exported.before.size_bytes == plain.size_bytes
    assert exported.after.size_bytes < 0.5 * exported.before.size_bytes
    assert plain.comparison.difference < exported.file.comparison.difference
    assert exported.before.milliseconds > 0 < exported.after.milliseconds
    operators = [node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node]
    assert operators.count("DynamicQuantizeLSTM") == 2
    assert not {"LSTM", "MatMul"} & set(operators)


def test_all_networks_of_an_ensemble_are_quantized(tmp_path):
    model = random_model(members=3, **BIG)
    exported = export_quantized(model, tmp_path / "int8.onnx")
    assert exported.after.size_bytes < 0.5 * exported.before.size_bytes
    operators = [node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node]
    assert operators.count("DynamicQuantizeLSTM") == 6
    assert not {"LSTM", "MatMul"} & set(operators)


@pytest.mark.parametrize("readout", ["final", "step"])
def test_the_padding_has_no_effect(tmp_path, readout):
    """NaN in the padding would make the scale of a whole batch NaN."""
    model = random_model(readout=readout, **BIG)
    export_quantized(model, tmp_path / "int8.onnx")
    classifier = load(tmp_path / "int8.onnx")._classifier
    lengths = torch.tensor([4, 9, 1])
    inputs = torch.randn(3, 9, 3)
    padding = torch.arange(9) >= lengths[:, None]
    found = [
        classifier(inputs.masked_fill(padding[:, :, None], value), lengths)
        for value in (0.0, torch.nan, 1e30)
    ]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_accuracy_is_computed_on_the_split(tmp_path):
    model = random_model(calibrate=True, normalization="dataset", **BIG)
    sequences = labeled()
    exported = export_quantized(model, tmp_path / "int8.onnx", ("test", sequences))
    assert exported.before.accuracy == model.evaluate(sequences).accuracy
    quantized = load(tmp_path / "int8.onnx")
    assert exported.after.accuracy == quantized.evaluate(sequences).accuracy
    facts = exported.facts()
    assert facts["accuracy"].endswith("after, on test")
    assert "before" in facts["size"]
    assert "for one sequence of 100 steps" in facts["time"]
    assert quantized.manifest == model.manifest


def test_without_data_the_accuracy_is_unknown(tmp_path):
    exported = export_quantized(random_model(), tmp_path / "int8.onnx")
    assert exported.after.accuracy is None
    assert exported.facts()["accuracy"].startswith("not measured")


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_other_cells_are_refused_by_name(tmp_path, cell):
    message = f"cell is '{cell}', which onnxruntime cannot quantize; .* --quantize --to model.c"
    with pytest.raises(ExportError, match=message):
        export_quantized(random_model(cell=cell), tmp_path / "int8.onnx")
    assert not list(tmp_path.iterdir())


def test_arbitrary_answers_are_refused(tmp_path, monkeypatch):
    other = onnx.load_model_from_string

    def damaged(content):
        model = other(content)
        for tensor in model.graph.initializer:
            if tensor.name == "linear.weight":
                weight = -9 * onnx.numpy_helper.to_array(tensor)
                tensor.CopyFrom(onnx.numpy_helper.from_array(weight, tensor.name))
        return model

    monkeypatch.setattr(onnx, "load_model_from_string", damaged)
    with pytest.raises(ExportError, match="logits of the quantized model differ by"):
        export_quantized(random_model(**BIG), tmp_path / "int8.onnx")
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_refused(tmp_path):
    (tmp_path / "int8.onnx").write_text("old")
    with pytest.raises(ConfigError, match="exists; expected a new one"):
        export_quantized(random_model(), tmp_path / "int8.onnx")


def test_onnxruntime_logs_no_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        export_quantized(random_model(), tmp_path / "int8.onnx")
    assert not caplog.records
    keys = {entry.key for entry in onnx.load(tmp_path / "int8.onnx").metadata_props}
    assert "onnx.quant.pre_process" not in keys


def test_sequences_are_not_longer_than_flatten_allows(tmp_path, monkeypatch):
    seen = []
    measure = quantization._milliseconds

    def watched(classifiers, inputs):
        seen.append(tuple(inputs.shape))
        return measure(classifiers, inputs)

    monkeypatch.setattr(quantization, "_milliseconds", watched)
    export_quantized(random_model(readout="flatten"), tmp_path / "int8.onnx")
    assert seen == [(1, 9, 3)]
