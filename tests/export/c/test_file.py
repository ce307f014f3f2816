import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from allpairspy import AllPairs
from random_models import three_class_model

from bothways.data.sequences import Sequences
from bothways.errors import ConfigError, ExportError
from bothways.evaluation.evaluate import compute_logits
from bothways.export.c import file as c_file
from bothways.export.c.file import export_c
from bothways.models.manifest import Preprocessing

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")

WARNINGS = (
    "-std=c99 -Wall -Wextra -pedantic -Wconversion -Wdouble-promotion -Wshadow -Wundef "
    "-Wcast-qual -Wmissing-prototypes -Werror"
)
SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=all"

PARAMETERS = {
    "cell": [("rnn", "tanh"), ("rnn", "relu"), ("gru", "tanh"), ("lstm", "tanh")],
    "bidirectional": [False, True],
    "readout": [
        *("last", "final", "flatten", "mean", "max", "attention", "step"),
        *("final+mean+max", "attention+last+mean", "max+flatten+attention", "last+final"),
    ],
    "num_layers": [1, 2, 4],
    "stem": [None, (1, 1, 3), (2, 2, 5), (3, 3, 1), (1, 4, 3)],  # layers, stride, kernel
    "missing": ["refuse", "mean", "zero", "mask"],
    "categories": [(), (0, 4, 0), (2, 9, 3)],
    "normalization": ["none", "dataset", "robust", "sequence", "both"],
    "calibrate": [False, True],
    "weights": ["float32", "int8"],
    "sanitized": [False, False, True],
}


def is_possible(values):
    named = dict(zip(PARAMETERS, values, strict=False))
    stem, readout = named.get("stem"), named.get("readout")
    reads_whole_sequence = named.get("normalization") in ("sequence", "both")
    if readout == "step" and reads_whole_sequence and not named["bidirectional"]:
        return False
    if stem is None:
        return True
    return "flatten" not in readout and (readout != "step" or stem[1] == 1)


CASES = [
    dict(zip(PARAMETERS, case, strict=True))
    for case in AllPairs(list(PARAMETERS.values()), filter_func=is_possible)
]


def settings_of(case):
    settings = {name: case[name] for name in ("bidirectional", "readout", "num_layers", "missing")}
    settings |= {name: case[name] for name in ("categories", "normalization", "calibrate")}
    settings["cell"], settings["nonlinearity"] = case["cell"]
    if case["stem"]:
        layers, stride, kernel = case["stem"]
        settings |= {"stem_channels": 4, "stem_layers": layers}
        settings |= {"stem_stride": stride, "stem_kernel": kernel}
    return settings


def identifier(case):
    return "-".join(re.sub(r"[^\w,]", "", str(value)) for value in case.values())


@pytest.mark.parametrize("case", CASES, ids=identifier)
def test_logits_are_those_of_the_model(case, tmp_path, monkeypatch):
    """`export_c` compares every logit, also of single steps, and raises an error otherwise.

    Weights of 8 bits are wrong by up to 0.4 %, and normalized features are as large as 9.
    """
    flags = f"{WARNINGS} {SANITIZERS if case['sanitized'] else ''}"
    monkeypatch.setenv("CC", f"cc {flags}")
    model = three_class_model(**settings_of(case))
    exported = export_c(model, tmp_path / "model.c", weights=case["weights"])
    assert exported.difference < (1e-5 if case["weights"] == "float32" else 0.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.c", "model.h"]
    sizes_are_true(exported, tmp_path)


def sizes_are_true(exported, folder):
    """Compare the stated bytes of flash, state and stack with those of the compiled file."""
    files = ["-c", str(exported.source), "-o", str(folder / "model.o")]
    run(["cc", "-std=c99", "-Os", "-fstack-usage", *files])
    listed = run(["size", "-A", str(folder / "model.o")])
    sizes = {"text": 0, "rodata": 0, "data": 0, "bss": 0}
    for section, size in re.findall(r"^\.(\w+)\S* +(\d+)", listed, re.MULTILINE):
        if section in sizes:
            sizes[section] += int(size)
    text = exported.source.read_text()
    arrays = len(re.findall(r"\] = \{", text))
    constants = exported.constant_bytes
    assert constants <= sizes["rodata"] <= constants + 32 * (arrays + 2)  # arrays are aligned
    assert sizes["text"] + sizes["rodata"] <= exported.flash_bytes + 32 * arrays
    assert sizes["text"] <= exported.program.code_bytes
    assert sizes["data"] == sizes["bss"] == 0
    frames = {
        line.split()[0].split(":")[-1]: int(line.split()[1])
        for line in (folder / "model.su").read_text().splitlines()
    }
    if exported.program.stem and "model_step" in frames:
        frames["model_step"] -= exported.program.state_bytes  # stated in the header
    assert sum(sorted(frames.values())[-5:]) < 512  # no more than five functions are nested


@pytest.mark.parametrize(
    "settings",
    [
        {"input_jitter": 0.1},
        {"input_size": 2, "categories": (2, 3), "normalization": "dataset", "missing": "mask"},
        {"hidden_size": 1, "input_size": 1, "num_classes": 2},
        {"stem_channels": 2, "stem_stride": 2**40, "stem_layers": 3},
        {"readout": "flatten", "sequence_length": 1},
    ],
)
def test_unusual_models(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", f"cc {WARNINGS}")
    assert export_c(three_class_model(**settings), tmp_path / "model.c").difference < 1e-6


PROGRAM = """
#include "model.h"
#include <math.h>
#include <stdio.h>
int main(void)
{
    static model_state state;
    (void)state;
    BODY
    return 0;
}
"""


def run(command, text=""):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_program(folder, body):
    """Compile a program with the exported file, and return what it prints."""
    (folder / "program.c").write_text(PROGRAM.replace("BODY", body))
    return compile_and_run(folder, "model.c", "program.c")


def compile_and_run(folder, *sources):
    program = str(folder / "program")
    run(["cc", *WARNINGS.split(), *(str(folder / name) for name in sources), "-o", program, "-lm"])
    return run([program])


@pytest.mark.parametrize(
    "settings",
    [
        {"bidirectional": True},
        {"bidirectional": False, "readout": "mean"},
        {"num_layers": 2, "readout": "attention", "stem_channels": 2},
        {"normalization": "both"},
        {"normalization": "sequence", "bidirectional": False, "readout": "mean"},
    ],
)
def test_the_stated_memory_is_that_of_the_struct_and_the_workspace(settings, tmp_path):
    exported = export_c(three_class_model(**settings), tmp_path / "model.c")
    total = "sizeof state"
    if exported.program.workspace_floats:
        total += " + sizeof(float) * MODEL_WORKSPACE_FLOATS(%d)"
    for time in (1, 2, 9, 100):
        size = total.replace("%d", str(time))
        found = run_program(tmp_path, f'printf("%lu", (unsigned long)({size}));')
        assert int(found) == exported.ram_bytes(time)


def test_values_that_the_model_refuses_are_errors(tmp_path):
    export_c(three_class_model(bidirectional=False, readout="flatten"), tmp_path / "model.c")
    body = """
    float inputs[22 * 3] = {0};
    float logits[3] = {7, 7, 7};
    int last = 0;
    printf("%d ", model_predict(inputs, 0, &state, logits));
    printf("%d ", model_predict(inputs, 21, &state, logits));
    inputs[4] = 1.0f / inputs[0];
    printf("%d ", model_predict(inputs, 2, &state, logits));
    inputs[4] = inputs[0] / inputs[0];
    printf("%d %d ", model_predict(inputs, 2, &state, logits), logits[0] == 7.0f);
    model_reset(&state);
    for (int t = 0; t < 20; t++) {
        last = model_step(&state, inputs, NULL);
    }
    printf("%d %d", last, model_step(&state, inputs, logits));
    model_reset(&state);
    printf(" %d", model_step(&state, inputs + 3, logits));
    """
    assert run_program(tmp_path, body).split() == ["-1", "-1", "-2", "-2", "1", "0", "-1", "-2"]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("missing", ["refuse", "mean", "zero", "mask"])
@pytest.mark.parametrize("normalization", ["sequence", "both"])
def test_sequences_are_normalized_before_the_first_step(
    normalization, missing, bidirectional, tmp_path
):
    """The answers for small changes of large values are those of the model, in float64 inside."""
    settings = {"normalization": normalization, "missing": missing, "categories": (0, 2, 0)}
    model = three_class_model(bidirectional=bidirectional, **settings)
    exported = export_c(model, tmp_path / "model.c")
    assert not exported.program.has_step
    assert "model_step" not in exported.header.read_text()
    steps = np.array([[10_000, 1, 3], [10_001, 2, 3], [10_002, 0, 3]], np.float32)
    body = """
    const float inputs[] = {NUMBERS};
    float logits[3];
    model_predict(inputs, 3, &state, logits);
    printf("%.9g %.9g %.9g ", (double)logits[0], (double)logits[1], (double)logits[2]);
    """
    numbers = ", ".join(f"{value!r}f" for value in steps.reshape(-1).tolist())
    found = np.array(run_program(tmp_path, body.replace("NUMBERS", numbers)).split(), float)
    np.testing.assert_allclose(found, model.predict_logits([steps]).numpy()[0], rtol=0, atol=2e-6)


def test_infinity_is_refused_where_missing_values_are_not(tmp_path):
    export_c(three_class_model(missing="mean"), tmp_path / "model.c")
    body = """
    float inputs[3] = {0};
    float logits[3];
    inputs[1] = inputs[0] / inputs[0];
    printf("%d ", model_predict(inputs, 1, &state, logits));
    inputs[2] = 1.0f / inputs[0];
    printf("%d", model_predict(inputs, 1, &state, logits));
    """
    assert run_program(tmp_path, body).split() == ["0", "-2"]


def test_categories_out_of_range_are_unknown(tmp_path):
    model = three_class_model(input_size=1, categories=(2,))
    model.classifier.encoder.tokens["0"].known.fill_(True)
    export_c(model, tmp_path / "model.c")
    numbers = [0, 1, 2, 2.9, 3, 1e30, -1, -0.5, np.inf, np.nan]
    spelled = ", ".join(f"{number}f" for number in numbers[:-2]) + ", INFINITY, NAN"
    spelled = re.sub(r"(?<![.\d])(-?\d)f", r"\1.0f", spelled)
    body = """
    const float inputs[] = {NUMBERS};
    for (int n = 0; n < 10; n++) {
        float logits[3];
        model_predict(inputs + n, 1, &state, logits);
        printf("%.9g %.9g %.9g ", (double)logits[0], (double)logits[1], (double)logits[2]);
    }
    """
    printed = run_program(tmp_path, body.replace("NUMBERS", spelled))
    found = np.array(printed.split(), float).reshape(-1, 3)
    inputs = torch.tensor(numbers, dtype=torch.float32).reshape(-1, 1, 1)
    expected = model.classifier(inputs).detach().numpy()
    assert np.abs(found - expected).max() < 1e-6
    assert (found[4:] == found[0]).all()
    assert not (found[1] == found[0]).all()


def test_offsets_are_subtracted_in_double_precision(tmp_path):
    offsets = (1.7e9, 0.0, 1 / 3)
    preprocessing = Preprocessing.model_validate({"reading": {"offsets": offsets}})
    model = three_class_model(preprocessing=preprocessing)
    export_c(model, tmp_path / "model.c")
    raw = np.array([[1.7e9 + 0.25, -1.0, 0.5], [1.7e9 - 1, 2.0, 0.0]])
    body = """
    const double raw[] = {NUMBERS};
    float inputs[6];
    float logits[3];
    model_reduce(raw, inputs);
    model_reduce(raw + 3, inputs + 3);
    model_predict(inputs, 2, &state, logits);
    printf("%.9g %.9g %.9g ", (double)logits[0], (double)logits[1], (double)logits[2]);
    """
    numbers = ", ".join(map(repr, raw.reshape(-1).tolist()))
    found = np.array(run_program(tmp_path, body.replace("NUMBERS", numbers)).split(), float)
    expected = model.predict_logits([raw]).numpy()[0]
    assert np.abs(found - expected).max() < 1e-6


NASTY = [
    'say "no"',
    "back\\slash\\",
    "two\nlines",
    "??/ ??=",
    "*/ int x; /*",
    "ünïcode 手",
    "%s\t7",
]


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_names_of_classes_and_features_are_escaped(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", f"cc {WARNINGS}")
    preprocessing = {"features": NASTY, "reading": {"vocabularies": {NASTY[4]: NASTY}}}
    model = three_class_model(
        input_size=7,
        num_classes=7,
        categories=(0, 0, 0, 0, 7, 0, 0),
        classes=NASTY,
        preprocessing=Preprocessing.model_validate(preprocessing),
    )
    export_c(model, tmp_path / "model.c", weights=weights)
    body = 'for (int n = 0; n < 7; n++) { printf("%s|", model_classes[n]); }'
    assert run_program(tmp_path, body) == "|".join(NASTY) + "|"
    for name in ("model.c", "model.h"):
        assert (tmp_path / name).read_text().isascii()


def test_probabilities_and_class(tmp_path):
    export_c(three_class_model(), tmp_path / "model.c")
    body = """
    float logits[3] = {100.0f, 102.0f, 102.0f};
    printf("%d ", (int)model_class(logits));
    model_probabilities(logits, logits);
    printf("%.6f %.6f", (double)logits[0], (double)logits[1]);
    """
    label, first, second = run_program(tmp_path, body).split()
    expected = torch.tensor([100.0, 102, 102]).softmax(0)
    assert int(label) == 1
    assert np.allclose([float(first), float(second)], expected[:2].numpy(), atol=1e-6)


def test_names_derive_from_the_file(tmp_path):
    exported = export_c(three_class_model(), tmp_path / "Fall-detection 2.c")
    assert exported.prefix == "fall_detection_2"
    (tmp_path / "program.c").write_text(
        '#include "Fall-detection 2.h"\n#include <stdio.h>\nint main(void)\n{\n'
        "    static fall_detection_2_state state;\n    float logits[FALL_DETECTION_2_CLASSES];\n"
        "    const float inputs[FALL_DETECTION_2_FEATURES] = {0};\n"
        '    printf("%d", fall_detection_2_predict(inputs, 1, &state, logits));\n    return 0;\n}\n'
    )
    assert compile_and_run(tmp_path, exported.source.name, "program.c") == "0"


def test_the_programs_of_the_documentation_run(tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "guides" / "export-c.md").read_text()
    program, function, call = re.findall(r"```c\n(.*?)```", page, re.DOTALL)
    model = three_class_model(bidirectional=False)
    export_c(model, tmp_path / "gesture.c")
    (tmp_path / "program.c").write_text(program)
    (tmp_path / "function.c").write_text(
        f'#include "gesture.h"\nint32_t classify(const float *inputs, int32_t time);\n{function}'
    )
    sources = [str(tmp_path / name) for name in ("gesture.c", "program.c", "function.c")]
    run(["cc", *WARNINGS.split(), *sources, "-o", str(tmp_path / "program"), "-lm"])
    steps = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    text = "\n".join(" ".join(map(repr, row)) for row in steps.tolist())
    printed = run([str(tmp_path / "program")], text).splitlines()
    probabilities = model.predict_proba([steps[: n + 1] for n in range(9)])
    for line, row in zip(printed, probabilities, strict=True):
        name, _, probability = line.rpartition(" ")
        assert name == model.classes[row.argmax()]
        assert abs(float(probability) - row.max()) < 1e-3
    export_c(three_class_model(num_layers=2), tmp_path / "gesture.c", force=True)
    (tmp_path / "call.c").write_text(
        f'#include "gesture.h"\nstatic gesture_state state;\n{call.splitlines()[0]}\n'
        "int classify(const float *inputs, int32_t time, float *logits);\n"
        "int classify(const float *inputs, int32_t time, float *logits)\n{\n"
        f"    return {call.splitlines()[-1]}\n}}\n"
    )
    run(["cc", *WARNINGS.split(), "-c", str(tmp_path / "call.c"), "-o", str(tmp_path / "call.o")])


@pytest.mark.parametrize("stem", ["read", "finish", "check_program", "math", "a.b", "-x"])
def test_file_names_that_are_used_elsewhere(stem, tmp_path):
    model = three_class_model(bidirectional=False, stem_channels=2)
    assert export_c(model, tmp_path / f"{stem}.c").difference < 1e-6


def test_no_internal_name_can_be_a_public_one():
    public = re.compile(r"_(classes|state|offsets|reset|step|predict|probabilities|class|reduce)$")
    for case in CASES:
        source = c_file.c_source(three_class_model(**settings_of(case)), "model", "int8").source
        names = re.findall(r"^static (?:const )?\w+ \*?(\w+)[(\[]", source, re.MULTILINE)
        assert len(names) > 10
        assert not [name for name in names if public.search(name)]


def test_two_models_fit_in_one_program(tmp_path):
    for name in ("one", "two"):
        export_c(three_class_model(bidirectional=False), tmp_path / f"{name}.c")
    (tmp_path / "program.c").write_text(
        '#include "one.h"\n#include "two.h"\nint main(void)\n{\n'
        "    return ONE_CLASSES - TWO_CLASSES;\n}\n"
    )
    compile_and_run(tmp_path, "one.c", "two.c", "program.c")


def test_the_files_of_two_models_do_not_compile_together(tmp_path):
    export_c(three_class_model(), tmp_path / "model.c")
    header = (tmp_path / "model.h").read_bytes()
    export_c(three_class_model(seed=1), tmp_path / "model.c", force=True)
    (tmp_path / "model.h").write_bytes(header)
    done = subprocess.run(
        ["cc", "-c", "model.c"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert "model.h belongs to another model" in done.stderr


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
def test_the_header_and_the_source_are_also_cpp(tmp_path):
    exported = export_c(
        three_class_model(missing="mask", readout="attention", bidirectional=False),
        tmp_path / "model.c",
    )
    program, model = tmp_path / "program.cpp", str(tmp_path / "model.o")
    program.write_text("#include \"model.h\"\nint main() { return model_classes[0][0] != 'c'; }\n")
    run(["cc", "-std=c99", "-c", str(exported.source), "-o", model])
    options = ["-std=c++17", "-Wall", "-Wextra", "-pedantic", "-Werror"]
    run(["c++", *options, str(program), model, "-o", str(tmp_path / "program"), "-lm"])
    run([str(tmp_path / "program")])
    run(["c++", *options, "-x", "c++", "-c", str(exported.source), "-o", model])


def test_int8_is_smaller_and_its_difference_is_reported(tmp_path):
    model = three_class_model(hidden_size=32, num_layers=2)
    whole = export_c(model, tmp_path / "whole.c")
    rounded = export_c(model, tmp_path / "rounded.c", weights="int8")
    assert rounded.constant_bytes < 0.35 * whole.constant_bytes
    assert whole.difference < 1e-6
    assert 1e-5 < rounded.difference < 0.05


def test_rows_of_zeros_and_of_denormals_can_be_int8(tmp_path):
    model = three_class_model()
    with torch.no_grad():
        model.classifier.linear.weight[0] = 0.0
        model.classifier.linear.weight[1] = 1e-42
    exported = export_c(model, tmp_path / "model.c", weights="int8")
    assert exported.difference < 0.05


def test_a_failed_write_keeps_the_old_files(tmp_path, monkeypatch):
    export_c(three_class_model(), tmp_path / "model.c")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        export_c(three_class_model(), tmp_path / "model.c", force=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_paths_that_cannot_be_written(tmp_path):
    model = three_class_model()
    with pytest.raises(ExportError, match=r"'model\.o' is not the name of a C file"):
        export_c(model, tmp_path / "model.o")
    with pytest.raises(ExportError, match="is not the name of a C file; expected letters"):
        export_c(model, tmp_path / 'mo"del.c')
    with pytest.raises(
        ConfigError, match="in a folder that does not exist; expected an existing one"
    ):
        export_c(model, tmp_path / "nowhere" / "model.c")
    (tmp_path / "model.h").write_text("mine")
    with pytest.raises(ConfigError, match=r"model\.h exists; expected a new one.*--force"):
        export_c(model, tmp_path / "model.c")
    assert (tmp_path / "model.h").read_text() == "mine"
    export_c(model, tmp_path / "model.c", force=True)
    assert "MODEL_H" in (tmp_path / "model.h").read_text()
    (tmp_path / "other.h").mkdir()
    with pytest.raises(ConfigError, match="is a folder; expected the name of a file"):
        export_c(model, tmp_path / "other.c", force=True)


def test_models_that_cannot_be_exported(tmp_path):
    with pytest.raises(
        ExportError,
        match=r"members is 5 but a C file contains one network; .* Export to \.onnx, or",
    ):
        export_c(three_class_model(members=5), tmp_path / "model.c")
    with pytest.raises(
        ExportError,
        match=r"weights 'int4' is unknown; did you mean 'int8'\? Expected one of float32, int8",
    ):
        export_c(three_class_model(), tmp_path / "model.c", weights="int4")
    model = three_class_model()
    with torch.no_grad():
        model.classifier.linear.bias[1] = float("nan")
    with pytest.raises(ExportError, match=r"linear\.bias contains values that are not finite"):
        export_c(model, tmp_path / "model.c")
    with pytest.raises(
        ExportError, match=r"the weights take .* bytes; expected at most 33,554,432"
    ):
        export_c(three_class_model(hidden_size=1500), tmp_path / "model.c")
    model = three_class_model(cell="rnn", nonlinearity="relu", bidirectional=False)
    with torch.no_grad():
        model.classifier.layers.weight_hh_l0.fill_(100.0)
        model.classifier.layers.bias_hh_l0.fill_(1.0)
    with pytest.raises(
        ExportError, match=r"logits of the model on random .* Check the weights, and the range"
    ):
        export_c(model, tmp_path / "model.c")
    assert list(tmp_path.iterdir()) == []


def test_the_export_is_reproducible(tmp_path):
    model = three_class_model()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        export_c(model, tmp_path / name / "model.c")
    for file in ("model.c", "model.h"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_weights_are_exact(tmp_path):
    model = three_class_model(bidirectional=False)
    export_c(model, tmp_path / "model.c")
    text = (tmp_path / "model.c").read_text()
    body = re.search(r"linear_final_weight\[15\] = \{(.*?)\}", text, re.DOTALL)[1]
    numbers = np.array(re.findall(r"(\S+)f,", body), np.float32)
    assert (numbers == model.classifier.linear.weight.detach().numpy().reshape(-1)).all()


def test_logits_of_int8_are_those_of_a_model_with_rounded_weights(tmp_path):
    source = c_file.c_source(three_class_model(readout="flatten"), "model", "int8")
    weight = source.classifier.linear.weight.detach().numpy()  # (3, 20 * 2 * 5)
    blocks = weight.reshape(3, 40, 5)
    steps = blocks / (np.abs(blocks).max(axis=2, keepdims=True) / 127)
    assert np.abs(steps - np.rint(steps)).max() < 1e-3
    inputs = Sequences.from_arrays([np.ones((4, 3), np.float32)])
    assert compute_logits(source.classifier, inputs).isfinite().all()
