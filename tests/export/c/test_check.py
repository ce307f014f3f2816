import shutil
import stat

import pytest
from random_models import three_class_model

from bothways.errors import ExportError
from bothways.export.c import check as c_check
from bothways.export.c import file as c_file
from bothways.export.c.check import UncheckedExportWarning
from bothways.export.c.file import export_c

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


def test_without_a_compiler_the_file_is_written_with_a_warning(tmp_path, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.warns(UncheckedExportWarning, match="not compared with the model: there is no C"):
        exported = export_c(three_class_model(), tmp_path / "model.c")
    assert exported.difference is None
    assert exported.source.exists()
    assert exported.header.exists()


@needs_compiler
def test_a_failed_check_leaves_no_file(tmp_path, monkeypatch):
    model = three_class_model(bidirectional=False)
    original = c_file.c_source

    def faulty(model, stem, weights):
        source = original(model, stem, weights)
        text = source.source.replace("forget * cell[n] + input", "forget * cell[n] - input")
        assert text != source.source
        return type(source)(**{**vars(source), "source": text})

    monkeypatch.setattr(c_file, "c_source", faulty)
    with pytest.raises(ExportError, match=r"C file differ from those of the model by up to 0\.\d+"):
        export_c(model, tmp_path / "model.c")
    assert list(tmp_path.iterdir()) == []


@needs_compiler
def test_a_faulty_step_function_is_found(tmp_path, monkeypatch):
    original = c_file.c_source

    def faulty(model, stem, weights):
        source = original(model, stem, weights)
        head, tail = source.source.split("int model_step(")
        tail = tail.replace("read_input(state, input);", 2 * "read_input(state, input);")
        return type(source)(**{**vars(source), "source": f"{head}int model_step({tail}"})

    monkeypatch.setattr(c_file, "c_source", faulty)
    with pytest.raises(ExportError, match=r"model_step\(\) differ from those of model_predict\(\)"):
        export_c(three_class_model(bidirectional=False), tmp_path / "model.c")
    assert list(tmp_path.iterdir()) == []


def script(folder, text):
    """Write a program that stands for a compiler, and return its path."""
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def failure(tmp_path, monkeypatch, compiler):
    """Return the error of an export with a compiler; no file may be left."""
    monkeypatch.setenv("CC", compiler)
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(ExportError) as error:
        export_c(three_class_model(), target / "model.c")
    assert list(target.iterdir()) == []
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_error_of_the_compiler(tmp_path, monkeypatch):
    compiler = script(tmp_path, "echo 'a note'>&2; echo 'x.c:1: error: no floats' >&2; exit 1")
    message = failure(tmp_path, monkeypatch, compiler)
    assert message.startswith("compiling the C file failed: x.c:1: error: no floats; expected no")


def test_a_silent_error_of_the_compiler(tmp_path, monkeypatch):
    message = failure(tmp_path, monkeypatch, script(tmp_path, "exit 7"))
    assert message.startswith("compiling the C file failed: exit status 7; expected no error")


def test_a_compiler_that_is_too_slow(tmp_path, monkeypatch):
    monkeypatch.setattr(c_check, "SECONDS", 0.1)
    message = failure(tmp_path, monkeypatch, script(tmp_path, "exec sleep 5"))
    assert "compiling the C file takes more than 0.1 seconds" in message


def test_a_compiler_without_a_result(tmp_path, monkeypatch):
    message = failure(tmp_path, monkeypatch, script(tmp_path, "exit 0"))
    assert "running the C file failed: ./check_program: No such file" in message


def test_a_program_that_writes_too_little(tmp_path, monkeypatch):
    program = "printf '#!/bin/sh\\n: > logits; : > step_logits' > check_program"
    compiler = script(tmp_path, f"{program}; chmod +x check_program")
    assert "wrote 0 logits; expected" in failure(tmp_path, monkeypatch, compiler)


def test_a_compiler_that_does_not_exist(tmp_path, monkeypatch):
    message = failure(tmp_path, monkeypatch, "no-such-compiler -O2")
    assert message.startswith("CC is 'no-such-compiler', which is not a program")


def test_a_variable_that_is_not_a_command(tmp_path, monkeypatch):
    message = failure(tmp_path, monkeypatch, "cc '-DX")
    assert 'CC is "cc \'-DX", which is not a command' in message
