import pytest
from random_models import random_model

from bothways.errors import CheckpointError, ConfigError
from bothways.export import OnnxExport, QuantizedExport
from bothways.export.c.file import CExport
from bothways.export.formats import ExportRequest, export


@pytest.mark.parametrize("name", ["model.onxx", "model", ".onnx"])
def test_an_unknown_extension_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=r"the extension of output file .*; expected \.onnx"):
        export(ExportRequest(tmp_path / "run", tmp_path / name))


@pytest.mark.parametrize(
    ("name", "weights", "kind"),
    [
        ("model.onnx", "float32", OnnxExport),
        ("model.onnx", "int8", QuantizedExport),
        ("model.c", "float32", CExport),
        ("model.c", "int8", CExport),
    ],
)
def test_a_model_folder_is_exported(tmp_path, name, weights, kind):
    random_model().save(tmp_path / "model")
    exported = export(ExportRequest(tmp_path / "model", tmp_path / name, weights))
    assert type(exported) is kind
    assert exported.facts()["written"].startswith(f"{tmp_path / name}, ")
    command = "bothways predict" if name == "model.onnx" else "cc -std=c99 -O2 -c"
    assert f"run: {command} {tmp_path / name}" in exported.next_step


def test_the_file_is_checked_before_the_model_is_loaded(tmp_path):
    with pytest.raises(ConfigError, match="in a folder that does not exist"):
        export(ExportRequest(tmp_path / "missing", tmp_path / "no" / "model.onnx"))
    with pytest.raises(CheckpointError, match="is not a model or run"):
        export(ExportRequest(tmp_path / "missing", tmp_path / "model.onnx"))
