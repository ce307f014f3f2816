"""ONNX files answer as their model, and whatever a file contains, loading is safe."""

import json
import warnings

import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from random_models import random_model

from bothways.data.sequences import Sequences
from bothways.errors import BothwaysError, CheckpointError, DataError, ShapeError
from bothways.export import export_onnx
from bothways.models import onnx_model
from bothways.models.loading import load
from bothways.models.predict_files import predict_files
from bothways.models.trained import TrainedClassifier, TrainedLabeler
from bothways.training.run_evaluation import evaluate_splits

LENGTHS = [5, 2, 8, 1]


def arrays(count=4):
    generator = np.random.default_rng(0)
    return [generator.normal(size=(n, 3)).astype(np.float32) for n in (LENGTHS * count)[:count]]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("readout", ["final", "step"])
@pytest.mark.parametrize("members", [1, 2])
def test_answers_are_those_of_the_model(path, members, readout):
    """Float32 sums in another order differ by less than 1e-5 for logits around 1."""
    model = random_model(readout=readout, normalization="dataset", calibrate=True, members=members)
    export_onnx(model, path)
    exported = load(path)
    assert type(exported) is (TrainedLabeler if readout == "step" else TrainedClassifier)
    assert exported.manifest == model.manifest
    for found, expected in zip(
        exported.predict_proba(arrays()), model.predict_proba(arrays()), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    for found, expected in zip(exported.predict(arrays()), model.predict(arrays()), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("readout", ["final", "step"])
def test_predictions_of_files_are_those_of_the_model(path, tmp_path, readout):
    model = random_model(readout=readout)
    export_onnx(model, path)
    np.savez(tmp_path / "new.npz", inputs=np.ones((4, 8, 3), np.float32), lengths=LENGTHS)
    found, expected = (
        list(predict_files(one, [tmp_path / "new.npz"], print)) for one in (load(path), model)
    )
    for answer, other in zip(found, expected, strict=True):
        lines = answer.line(), other.line()
        assert lines[0]["sequence"] == lines[1]["sequence"]
        if readout == "final":
            assert lines[0]["label"] == lines[1]["label"]
            assert lines[0]["probabilities"] == pytest.approx(lines[1]["probabilities"], abs=1e-5)
        else:
            assert lines[0]["labels"] == lines[1]["labels"]


def test_metrics_are_those_of_the_model(path, tmp_path):
    model = random_model(num_classes=2)
    export_onnx(model, path)
    labels = np.array(model.classes)[np.arange(8) % 2]
    inputs = np.random.default_rng(0).normal(size=(8, 4, 3)).astype(np.float32)
    np.savez(tmp_path / "data.npz", inputs=inputs, labels=labels)
    found = evaluate_splits(load(path), path, str(tmp_path / "data.npz"))["data"]
    expected = model.evaluate(Sequences.from_padded(inputs, labels=np.arange(8) % 2))
    assert found.accuracy == expected.accuracy
    assert found.log_loss == pytest.approx(expected.log_loss, abs=1e-5)


def test_evaluate_asks_for_data(path):
    export_onnx(random_model(), path)
    with pytest.raises(DataError, match=r"Run: bothways evaluate \S*model\.onnx DATA"):
        evaluate_splits(load(path), path)


def test_only_the_weights_are_missing(path, tmp_path):
    export_onnx(random_model(), path)
    model = load(path)
    for use in (lambda: model.classifier, lambda: model.save(tmp_path / "folder")):
        with pytest.raises(CheckpointError, match="weights of an exported model cannot be read"):
            use()
    assert not (tmp_path / "folder").exists()


def test_invalid_batches_are_refused_as_by_the_model(path):
    export_onnx(random_model(readout="flatten"), path)
    model = load(path)
    with pytest.raises(ShapeError, match=r"lengths\[0\] is 10 but readout 'flatten'"):
        model.predict([np.ones((10, 3))])
    with pytest.raises(ShapeError, match="2 features per time step; expected 3"):
        model.predict([np.ones((9, 2))])
    with pytest.raises(ShapeError, match=r"lengths\[0\] is 4 but inputs has 3 steps"):
        model._classifier(torch.zeros(1, 3, 3), torch.tensor([4]))


def test_a_folder_may_have_the_suffix(tmp_path):
    random_model().save(tmp_path / "folder.onnx")
    assert load(tmp_path / "folder.onnx").classifier.config.input_size == 3


def changed(path, change):
    """Export a model, and change its graph."""
    export_onnx(random_model(), path)
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())


def _external_weights(model):
    tensor = model.graph.initializer[-1]
    onnx.external_data_helper.set_external_data(tensor, "/etc/passwd")
    tensor.ClearField("raw_data")


def _external_attribute(model):
    tensor = onnx.TensorProto(dims=[1], data_type=onnx.TensorProto.FLOAT, raw_data=b"1234")
    onnx.external_data_helper.set_external_data(tensor, "secret")
    attribute = onnx.helper.make_attribute("value", tensor)
    model.graph.node[0].attribute.append(attribute)


def _inner_graph(model):
    attribute = onnx.helper.make_attribute("body", onnx.GraphProto(name="inner"))
    model.graph.node[0].attribute.append(attribute)


def _sparse_weights(model):
    model.graph.sparse_initializer.add()


def _loop(model):
    model.graph.node.append(onnx.helper.make_node("Loop", ["", ""], ["x"]))


def _foreign_operator(model):
    model.graph.node.append(onnx.helper.make_node("Add", ["x", "x"], ["y"], domain="elsewhere"))


def _function(model):
    model.functions.add(name="f")


def _no_metadata(model):
    del model.metadata_props[:]


def _two_manifests(model):
    model.metadata_props.add(key=onnx_model.MANIFEST_KEY, value="{}")


def _set_manifest(text):
    def change(model):
        (entry,) = (e for e in model.metadata_props if e.key == onnx_model.MANIFEST_KEY)
        entry.value = text

    return change


def _huge_model(model):
    (entry,) = (e for e in model.metadata_props if e.key == onnx_model.MANIFEST_KEY)
    values = json.loads(entry.value)
    values["model"]["hidden_size"] = 10**9
    entry.value = json.dumps(values)


def _other_output(model):
    model.graph.output[0].name = "inputs"


def _missing_weight(model):
    del model.graph.initializer[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_external_weights, "has data outside itself"),
        (_external_attribute, "has data outside itself"),
        (_inner_graph, "has data outside itself"),
        (_sparse_weights, "has data outside itself"),
        (_loop, "contains 'Loop'; expected the operators of a bothways export only"),
        (_foreign_operator, "contains 'Add'; expected"),
        (_function, "contains functions; expected"),
        (_no_metadata, "has no metadata 'bothways'; expected a file that bothways has exported"),
        (_two_manifests, "has no metadata 'bothways'"),
        (_set_manifest("{"), "is damaged: "),
        (_set_manifest("[]"), "is not the config of a bothways model"),
        (_set_manifest('{"schema_version": 99}'), "has schema_version 99"),
        (_huge_model, "is damaged: hidden_size is 1000000000"),
        (_other_output, "is damaged, or onnxruntime cannot run it|has inputs and outputs"),
        (_missing_weight, "is damaged, or onnxruntime cannot run it"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_other_files_are_refused(path, change, message):
    changed(path, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_answers_of_another_shape_are_refused(path):
    """The declared shapes of a file may be wrong."""

    def change(model):
        (entry,) = (e for e in model.metadata_props if e.key == onnx_model.MANIFEST_KEY)
        values = json.loads(entry.value)
        values["model"]["num_classes"] = 3
        values["classes"] = ["a", "b", "c"]
        entry.value = json.dumps(values)

    changed(path, change)
    with pytest.raises(CheckpointError, match=r"answers with shape \(4, 4\); expected \(4, 3\)"):
        load(path).predict(arrays())


@pytest.mark.parametrize("content", [b"", b"no", b"\x00" * 99, b"PK\x03\x04"])
def test_what_is_not_onnx_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"has no metadata|is damaged"):
        load(path)


def test_a_missing_file_and_a_file_that_is_too_large(path, monkeypatch):
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        load(path)
    export_onnx(random_model(), path)
    monkeypatch.setattr(onnx_model, "_LARGEST_BYTES", 1000)
    with pytest.raises(CheckpointError, match=r"bytes; expected at most 1,000"):
        load(path)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_onnx(random_model(hidden_size=2, missing="mask"), path)
    return path.read_bytes()


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    place=st.floats(0, 1, exclude_max=True),
    removed=st.integers(0, 9),
    inserted=st.binary(max_size=9),
)
@example(place=0.5, removed=10**6, inserted=b"")
def test_damaged_files_are_loaded_or_refused_in_one_line(
    content, tmp_path, capfd, place, removed, inserted
):
    first = int(place * len(content))
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content[:first] + inserted + content[first + removed :])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the damaged text may be that of the training range
            load(path).predict([array[:3] for array in arrays()])
        message = ""
    except BothwaysError as error:
        message = str(error)
    printed = capfd.readouterr()
    assert (printed.out, printed.err, message.count("\n")) == ("", "", 0)
