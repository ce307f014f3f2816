"""ONNX graphs give the answers of the model, for every architecture and any batch."""

import itertools
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from allpairspy import AllPairs
from random_models import CLASSES, random_model

from bothways.data.options import DataOptions
from bothways.errors import ExportError
from bothways.export.check_data import random_sequences
from bothways.export.comparison import random_batches
from bothways.export.onnx import graph
from bothways.export.onnx.graph import onnx_model
from bothways.models.manifest import ConvertedFrom, Manifest, Preprocessing, Provenance

STEM = {"stem_channels": 4, "stem_kernel": 3}
READOUTS = [
    *("last", "final", "flatten", "mean", "max", "attention", "step"),
    *("final+mean+max", "last+attention", "flatten+final", "last+final"),
]
STEMS = [{}, {**STEM, "stem_stride": 1}, {**STEM, "stem_stride": 2}]
CHOICES = {
    "readout": [
        {"readout": readout, **stem}
        for readout, stem in itertools.product(READOUTS, STEMS)
        if not (stem and "flatten" in readout)
        and not (stem.get("stem_stride") == 2 and readout == "step")
    ],
    "cell": [
        *({"cell": "rnn", "nonlinearity": name} for name in ("tanh", "relu")),
        {"cell": "gru"},
        {"cell": "lstm"},
    ],
    "bidirectional": [True, False],
    "num_layers": [1, 3],
    "missing": ["refuse", "mean", "zero", "mask"],
    "categories": [(), (0, 5, 0), (2, 3, 20)],
    "normalization": ["none", "dataset", "robust", "sequence", "both"],
    "calibrate": [True, False],
    "members": [1, 3],
}


def is_possible(values):
    named = dict(zip(CHOICES, values, strict=False))
    reads_whole_sequence = named.get("normalization") in ("sequence", "both")
    of_steps = named["readout"]["readout"] == "step"
    return not (of_steps and reads_whole_sequence and named.get("bidirectional") is False)


CASES = [
    dict(zip(CHOICES, row, strict=True))
    for row in AllPairs(list(CHOICES.values()), filter_func=is_possible)
]


def session_of(model):
    content = onnx_model(model.classifier, model.manifest).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options)


def run(session, inputs, lengths):
    given = {"inputs": np.asarray(inputs, np.float32), "lengths": np.asarray(lengths, np.int64)}
    return session.run(["logits", "probabilities"], given)


def make_stable(model):
    """Scale recurrent weights so that states, and rounding errors in them, cannot grow.

    The states of a network with relu have no bound. With some random weights, its rounding errors
    grow a hundredfold in 50 steps.
    """
    with torch.no_grad():
        for name, weight in model.classifier.named_parameters():
            if "weight_hh" in name:
                weight /= max(1, float(torch.linalg.matrix_norm(weight, 2)))


def padded(model, lengths, padding=np.nan):
    """Return random inputs (batch, time, features)."""
    inputs = np.full((len(lengths), max(lengths), model.manifest.model.input_size), padding)
    sequences = random_sequences(model, lengths, np.random.default_rng(1))
    for row, values in zip(inputs, sequences, strict=True):
        row[: len(values)] = values
    return inputs


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_logits_are_those_of_the_model(case, seed):
    """Float32 sums of a few dozen products in another order: 1e-5 is 30 times the usual error.

    The cases cover all pairs of choices.
    """
    chosen = {**case, **case["cell"], **case["readout"]}
    model = random_model(seed, **chosen)
    if chosen.get("nonlinearity") == "relu":
        make_stable(model)
    session = session_of(model)
    for inputs, lengths in random_batches(model, np.random.default_rng(seed)):
        with torch.inference_mode():
            expected = model.classifier(inputs, lengths).numpy()
        logits, probabilities = run(session, inputs, lengths)
        if chosen["readout"] == "step":
            padding = np.arange(inputs.shape[1]) >= lengths.numpy()[:, None]
            assert not logits[padding].any()
            assert not probabilities[padding].any()
            logits, probabilities, expected = (
                values[~padding] for values in (logits, probabilities, expected)
            )
        scale = max(1, abs(expected).max())
        np.testing.assert_allclose(logits / scale, expected / scale, rtol=0, atol=1e-5)
        softmax = torch.from_numpy(logits).softmax(dim=-1).numpy()
        np.testing.assert_allclose(probabilities, softmax, rtol=0, atol=1e-6)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("padding", [0.0, 1e30, np.inf])
def test_the_padding_has_no_effect(readout, padding):
    session = session_of(
        model := random_model(readout=readout, cell="gru", categories=(0, 3, 0), missing="mask")
    )
    lengths = [4, 9, 1, 6]
    expected, _ = run(session, padded(model, lengths), lengths)
    found, _ = run(session, padded(model, lengths, padding), lengths)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("readout", READOUTS)
def test_answers_do_not_depend_on_the_batch(readout):
    """onnxruntime's products may be in another order for another batch size: float32 rounding."""
    session = session_of(model := random_model(readout=readout, num_layers=2))
    lengths = [4, 9, 1, 6]
    inputs = padded(model, lengths)
    together, _ = run(session, inputs, lengths)
    for row, length in enumerate(lengths):
        alone, _ = run(session, inputs[row : row + 1, :length], [length])
        own = together[row, :length] if readout == "step" else together[row]
        np.testing.assert_allclose(alone[0], own, rtol=0, atol=1e-6)


@pytest.mark.parametrize("number", [-1, 0, 1, 2, 3, 3.9, 4, 1e20, np.nan, np.inf, -0.5])
def test_categories_out_of_range_are_unknown(number):
    model = random_model(categories=(0, 3, 0))
    inputs = padded(model, [4])
    inputs[0, 2, 1] = number
    with torch.inference_mode():
        expected = model.classifier(torch.from_numpy(inputs).float(), [4])
    logits, _ = run(session_of(model), inputs, [4])
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("normalization", ["sequence", "both"])
@pytest.mark.parametrize("size", [1e-40, 1e-20, 1.0, 1e10, 1e37])
def test_values_of_any_size_beside_a_tiny_scale(normalization, size):
    """Values in units of the scale are beyond the range of float32."""
    model = random_model(normalization=normalization)
    (encoder,) = (network.encoder for network in model.classifier.networks)
    encoder.median.fill_(0.0)
    encoder.scale.fill_(1e-30)
    inputs = np.float32(size * np.random.default_rng(0).standard_normal((2, 6, 3)))
    with torch.inference_mode():
        expected = model.classifier(torch.from_numpy(inputs), [6, 4])
    assert expected.isfinite().all()
    logits, _ = run(session_of(model), inputs, [6, 4])
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("lengths", [[10, 2], [2, 10]])
def test_flatten_refuses_longer_rows(lengths):
    session = session_of(model := random_model(readout="flatten"))
    with pytest.raises(Exception, match="out of data bounds"):
        run(session, padded(model, lengths), lengths)


def test_flatten_accepts_a_longer_padding():
    session = session_of(model := random_model(readout="flatten"))
    inputs = np.full((2, 14, 3), np.nan)
    inputs[:, :9] = padded(model, [9, 5])
    found, _ = run(session, inputs, [9, 5])
    expected, _ = run(session, padded(model, [9, 5]), [9, 5])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_a_length_above_time_is_an_error():
    with pytest.raises(Exception, match="sequence_lens"):
        run(session_of(random_model()), np.zeros((1, 4, 3)), [5])


@pytest.mark.parametrize(("readout", "axes"), [("final", ["batch"]), ("step", ["batch", "time"])])
def test_batch_and_time_are_dynamic(readout, axes):
    session = session_of(random_model(readout=readout))
    assert [(v.name, v.type, v.shape) for v in session.get_inputs()] == [
        ("inputs", "tensor(float)", ["batch", "time", 3]),
        ("lengths", "tensor(int64)", ["batch"]),
    ]
    assert [(v.name, v.type, v.shape) for v in session.get_outputs()] == [
        ("logits", "tensor(float)", [*axes, 4]),
        ("probabilities", "tensor(float)", [*axes, 4]),
    ]


def test_the_opset_is_stated_and_only_its_operators_are_used():
    model = random_model(categories=(0, 3, 0), missing="mask", members=2, **STEM)
    exported = onnx_model(model.classifier, model.manifest)
    assert [(entry.domain, entry.version) for entry in exported.opset_import] == [("", 17)]
    onnx.checker.check_model(exported, full_check=True)


def test_metadata_can_be_read_without_bothways():
    config = random_model(categories=(0, 2, 0), missing="mean", readout="step").manifest.model
    preprocessing = Preprocessing(
        features=("x", "kind", "time"),
        reading=DataOptions(
            categorical=("kind",), vocabularies={"kind": ("a", "ü")}, offsets=(0.0, 0.0, 1.7e9)
        ),
    )
    origin = Provenance(converted_from=ConvertedFrom(file="old.ckpt", sha256="0"))
    manifest = Manifest(
        model=config, classes=CLASSES, preprocessing=preprocessing, provenance=origin
    )
    found = graph.metadata(manifest)
    assert json.loads(found["classes"]) == list(CLASSES)
    assert json.loads(found["features"]) == ["x", "kind", "time"]
    assert json.loads(found["categories"]) == {"kind": ["a", "ü"]}
    assert json.loads(found["offsets"]) == [0.0, 0.0, 1.7e9]
    assert found["provenance"] == "converted from old.ckpt"
    assert found["inputs"] == (
        "float32 (batch, time, 3): the features of each time step, in the order of the key "
        "features, not normalized. NaN is a missing value. Values at and past the lengths are "
        "ignored. Categorical features are the position of the name in the key categories, from "
        "1; 0 for any other name. Subtract the key offsets from the features, in float64."
    )
    assert found["outputs"].endswith("Both are 0 at and past the lengths.")
    assert Manifest(**json.loads(found["bothways"])) == manifest


def test_metadata_are_short_without_names():
    found = graph.metadata(random_model(readout="flatten").manifest)
    assert json.loads(found["features"]) == ["0", "1", "2"]
    assert found["lengths"].endswith("from 1 to time, at most 9.")
    assert "NaN is not allowed before the lengths." in found["inputs"]
    assert not {"categories", "offsets"} & set(found)


def test_weights_of_2_gib_are_refused(monkeypatch):
    monkeypatch.setattr(graph, "weight_bytes", lambda config: 2**31)
    model = random_model()
    with pytest.raises(ExportError, match=r"take 2,147,483,648 bytes; expected at most 2,147,48"):
        onnx_model(model.classifier, model.manifest)
