import numpy as np
import pandas as pd
import pytest
import torch
from random_models import random_model

from bothways.data.options import DataOptions
from bothways.data.sequences import Sequences
from bothways.errors import BackendError, DataError
from bothways.evaluation.evaluate import compute_logits
from bothways.export.onnx.file import export_onnx
from bothways.kernels.compiled.instruction_sets import host_target
from bothways.models.inputs import UnknownTokensWarning
from bothways.models.loading import load
from bothways.models.manifest import Preprocessing
from bothways.nn.classifier import SequenceClassifier

INPUTS = np.random.default_rng(0).normal(size=(3, 5, 3)).astype(np.float32)


def test_to_returns_the_same_model_on_the_cpu():
    model = random_model()
    expected = model.predict_logits(INPUTS)
    assert model.to("cpu") is model
    assert model.to(torch.device("cpu")) is model
    assert {weight.device.type for weight in model.classifier.state_dict().values()} == {"cpu"}
    assert torch.equal(model.predict_logits(INPUTS), expected)


def test_to_moves_the_network(monkeypatch):
    moved = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(SequenceClassifier, "to", lambda self, device: moved.append((self, device)))
    model = random_model()
    assert model.to("cuda") is model
    assert model.to("auto") is model
    assert moved == [(model.classifier, torch.device("cuda"))] * 2


def test_batches_go_to_the_device_of_the_weights():
    class Recorder(torch.nn.Module):
        """A classifier with weights on the device meta, which stores no values."""

        config = random_model().manifest.model

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.empty(1, device="meta"))
            self.devices = []

        def forward(self, inputs, lengths):
            self.devices.append((inputs.device.type, lengths.device.type))
            return torch.zeros(len(inputs), 4)

    model = Recorder()
    compute_logits(model, Sequences.from_padded(INPUTS))
    assert model.devices == [("meta", "cpu")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this is an error only without a GPU")
def test_a_device_that_is_not_available_is_refused():
    with pytest.raises(BackendError, match="device 'cuda' is not available"):
        random_model().to("cuda")


def test_an_exported_file_runs_on_the_cpu_only(tmp_path):
    export_onnx(random_model(), tmp_path / "model.onnx")
    model = load(tmp_path / "model.onnx")
    assert model.to("auto") is model.to("cpu") is model
    with pytest.raises(
        BackendError, match=r"device is 'cuda' but the model is an exported file, .* auto or cpu"
    ):
        model.to("cuda")


def sequences_of_unknown_tokens():
    values = np.zeros((2, 4, 3), np.float32)
    values[:, :, 1] = 99
    return values


@pytest.mark.parametrize(
    ("preprocessing", "message"),
    [
        (Preprocessing(), "8 of 8 values of feature 1 do not occur .* numbers from 1 to 4"),
        (
            Preprocessing(
                features=("x", "event", "y"),
                reading=DataOptions(vocabularies={"event": ("a", "b", "c", "d")}),
            ),
            r"8 of 8 values of 'event' do not occur .* the same names \(a, b, c, …\)",
        ),
        (
            Preprocessing(features=("x", "event", "y")),
            "values of 'event' do not occur .* numbers from 1 to 4",
        ),
    ],
)
def test_unknown_categories_give_a_warning_with_or_without_names(preprocessing, message):
    model = random_model(categories=(0, 4, 0), preprocessing=preprocessing)
    with pytest.warns(UnknownTokensWarning, match=message):
        model.predict(sequences_of_unknown_tokens())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((4, 3)), r"array of shape \(4, 3\); .*, pass a list: predict\(\[array\]\)\."),
        (
            pd.DataFrame({"a": [0.0, 1.0]}),
            r"are one data frame; .* two-level index \(sequence, time",
        ),
    ],
)
def test_one_sequence_is_passed_in_a_list(data, message):
    with pytest.raises(DataError, match=message):
        random_model().predict(data)


@pytest.mark.skipif(not host_target().has_bfloat16, reason="this processor has no AVX512_BF16")
def test_a_model_answers_with_the_precision_that_is_set():
    model = random_model(hidden_size=40, readout="step", members=2)
    steps = np.random.default_rng(0).normal(size=(2, 9, 3)).astype(np.float32)
    exact = model.predict_proba(steps)
    near = model.set_precision("bfloat16").predict_proba(steps)
    assert not np.array_equal(near, exact)
    np.testing.assert_allclose(near, exact, atol=0.02)  # 2^-9 in each factor, amplified by layers
    np.testing.assert_array_equal(model.with_lookahead(None).predict_proba(steps), near)
    np.testing.assert_array_equal(model.set_precision("float32").predict_proba(steps), exact)


def test_a_refused_precision_changes_nothing():
    model = random_model()
    with pytest.raises(BackendError, match="precision"):
        model.set_precision("float16")
    assert model.classifier.networks[0].layers.precision == "float32"
