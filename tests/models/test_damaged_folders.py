"""Loading succeeds or raises a one-line error at once, whatever a model folder contains."""

import json
import os

import hypothesis.strategies as st
import pytest
import torch
from commands import run_command
from hypothesis import HealthCheck, given, settings

from bothways import ModelConfig, SequenceClassifier, TrainedClassifier, load
from bothways.errors import BothwaysError, CheckpointError, ConfigError
from bothways.models.manifest import Manifest
from bothways.nn.ensemble import make_classifier
from bothways.nn.size import file_limit, weight_bytes
from bothways.storage.atomic import sha256
from bothways.storage.tensors import load_tensors, save_tensors

FILES = ["config.json", "model.safetensors"]


@pytest.fixture
def folder(tmp_path):
    config = ModelConfig(input_size=3, hidden_size=4, num_classes=2)
    model = TrainedClassifier(
        SequenceClassifier(config), Manifest(model=config, classes=("no", "yes"))
    )
    model.save(tmp_path / "model")
    return tmp_path / "model"


def assert_refused_in_one_line(folder):
    with pytest.raises(BothwaysError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def replace_config(folder, values):
    """Write a config, and its checksum into the weights, as if both had been saved together."""
    content = json.dumps(values).encode()
    (folder / "config.json").write_bytes(content)
    weights, _ = load_tensors(folder / "model.safetensors")
    save_tensors(folder / "model.safetensors", weights, {"config_sha256": sha256(content)})


def paths_in(value, path=()):
    """Return the path of each value in nested dicts and lists."""
    yield path
    pairs = value.items() if isinstance(value, dict) else ()
    pairs = enumerate(value) if isinstance(value, list) else pairs
    for key, inner in pairs:
        yield from paths_in(inner, (*path, key))


CONFIG = json.loads(
    Manifest(
        model=ModelConfig(input_size=3, hidden_size=4, num_classes=2), classes=("no", "yes")
    ).to_bytes()
)
PATHS = [path for path in paths_in(CONFIG) if path]
EXTREMES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**31, 10**9, 10**12, 10**18, 10**40, -(10**18), 1e308, -1e-308]),
    st.text(max_size=3),
    st.lists(st.integers(0, 5), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=st.dictionaries(st.sampled_from(PATHS), EXTREMES, min_size=1, max_size=3))
def test_any_config_loads_or_is_refused(folder, changes):
    values = json.loads(json.dumps(CONFIG))
    for path, value in changes.items():
        inner = values
        try:
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # another change has replaced what contains it
    replace_config(folder, values)
    try:
        model = load(folder)
    except BothwaysError:
        assert_refused_in_one_line(folder)
    else:
        model.predict_logits(torch.zeros(1, 2, 3).numpy())


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(name=st.sampled_from(FILES), content=st.binary(max_size=200), at=st.integers(0, 1000))
def test_damaged_bytes_are_refused(folder, name, content, at):
    path = folder / name
    original = path.read_bytes()
    damaged = original[:at] + content
    path.write_bytes(damaged)
    try:
        if damaged != original:
            assert_refused_in_one_line(folder)
    finally:
        path.write_bytes(original)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [b"[" * 200_000, b'{"a":' * 200_000, b"9" * 10_000])
def test_deep_nesting_is_refused(folder, name, content):
    (folder / name).write_bytes(content)
    assert_refused_in_one_line(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["pipe", "device", "link to a pipe", "folder"])
def test_only_regular_files_are_read(folder, name, kind):
    path = folder / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(folder / "pipe")
        path.symlink_to(folder / "pipe")
    result = run_command("inspect", folder, timeout=20)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "is not a regular file" in result.stderr


def test_a_file_larger_than_the_model_is_not_read(folder):
    with (folder / "model.safetensors").open("ab") as file:
        file.truncate(1 << 40)  # a sparse file
    with pytest.raises(CheckpointError, match=r"has 1,099,511,627,776 bytes; expected at most"):
        load(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 100_000_000},
        {"hidden_size": 10**12},
        {"num_layers": 1000, "hidden_size": 100_000},
        {"stem_channels": 10**9},
        {"input_size": 10**11},
        {"num_classes": 10**12},
        {"readout": "flatten", "sequence_length": 10**10},
    ],
)
def test_a_model_larger_than_memory_is_refused_before_anything_is_allocated(changes):
    config = ModelConfig(**({"input_size": 3, "hidden_size": 4, "num_classes": 2} | changes))
    with pytest.raises(ConfigError, match=r"the weights take [\d,]+ bytes; expected at most"):
        SequenceClassifier(config)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 3},
        {"stem_channels": 6, "stem_layers": 3},
        {"readout": "flatten", "sequence_length": 9},
        {"readout": "flatten+final+max", "sequence_length": 9},
        {"normalization": "both", "missing": "mask"},
        {"categories": (0, 20, 3), "missing": "mask"},
        {"members": 3},
    ],
)
def test_weight_bytes_are_those_of_the_parameters(cell, bidirectional, options):
    config = ModelConfig(
        cell=cell,
        bidirectional=bidirectional,
        input_size=3,
        hidden_size=5,
        num_classes=4,
        **options,
    )
    model = make_classifier(config)
    assert weight_bytes(config) == 4 * sum(weight.numel() for weight in model.parameters())
    saved = sum(tensor.nbytes for tensor in model.state_dict().values())
    assert saved <= file_limit(config)


def test_a_too_large_model_is_refused_by_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run_command("train", "mnist", "--set", "hidden_size=100000000")
    assert result.returncode == 2
    assert "hidden_size is 100000000" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["request.json", "training.safetensors"])
def test_damaged_runs_are_refused_in_one_line(tmp_path, name):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / name).write_bytes(b"[" * 200_000)
    result = run_command("train", run, "--resume")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
