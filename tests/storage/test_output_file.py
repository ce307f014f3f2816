import pytest

from bothways.errors import ConfigError
from bothways.storage.output_file import check_output_file


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("old.onnx", r"old\.onnx exists; expected a new one\. .* replace it with --force"),
        ("folder", "folder is a folder; expected the name of a file"),
        ("missing/new.onnx", "in a folder that does not exist; expected an existing one"),
        ("old.onnx/new.onnx", "in a folder that does not exist"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, message):
    (tmp_path / "old.onnx").write_text("old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=message):
        check_output_file(tmp_path / name, force=False)


def test_force_replaces_files_but_not_folders(tmp_path):
    (tmp_path / "old.onnx").write_text("old")
    check_output_file(tmp_path / "old.onnx", force=True)
    check_output_file(tmp_path / "new.onnx", force=False)
    with pytest.raises(ConfigError, match="is a folder"):
        check_output_file(tmp_path, force=True)
