"""Converted notebook checkpoints give the same logits, and code in them is not run."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from bothways.errors import BothwaysError, CheckpointError, ConfigError
from bothways.models.convert import convert, read_weights
from bothways.models.loading import load

TIME, INPUT_SIZE, HIDDEN_SIZE, NUM_CLASSES = 5, 3, 4, 2
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def notebook_model(cell="lstm", *, flatten=False, width=None, num_classes=NUM_CLASSES, **options):
    """Return the notebooks' model: a recurrent layer named `lstm` for every cell, and `fc`."""
    torch.manual_seed(0)
    layer = CELLS[cell](INPUT_SIZE, HIDDEN_SIZE, batch_first=True, **options)
    step = HIDDEN_SIZE * (2 if layer.bidirectional else 1)
    width = width or (TIME * step if flatten else step)
    return nn.ModuleDict({"lstm": layer, "fc": nn.Linear(width, num_classes)})


def notebook_logits(model, inputs, readout):
    outputs, state = model.lstm(inputs)
    h_n = state[0] if isinstance(state, tuple) else state
    directions = 2 if model.lstm.bidirectional else 1
    features = {
        "last": lambda: outputs[:, -1],
        "final": lambda: torch.cat(list(h_n[-directions:]), dim=1),
        "flatten": lambda: outputs.flatten(1),
        "mean": lambda: outputs.mean(dim=1),
        "max": lambda: outputs.amax(dim=1),
    }
    return model.fc(features[readout]()).detach()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.ckpt"


def save_changed(path, **changes):
    """Save a notebook's LSTM with some weights replaced, or removed if None."""
    weights = notebook_model().state_dict() | {
        name.replace("__", "."): value for name, value in changes.items()
    }
    torch.save({name: value for name, value in weights.items() if value is not None}, path)


@pytest.mark.parametrize("readout", ["last", "final", "flatten", "mean", "max"])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("cell", CELLS)
def test_logits_are_the_notebooks(path, cell, bidirectional, num_layers, readout):
    flatten = readout == "flatten"
    notebook = notebook_model(
        cell, flatten=flatten, bidirectional=bidirectional, num_layers=num_layers
    )
    torch.save(notebook.state_dict(), path)
    model = convert(
        path,
        readout=None if flatten else readout,
        nonlinearity="tanh" if cell == "rnn" else None,
    )
    inputs = torch.randn(7, TIME, INPUT_SIZE)
    expected = notebook_logits(notebook, inputs, readout)
    torch.testing.assert_close(model.predict_logits(inputs), expected, rtol=0, atol=1e-6)

    model.save(path.with_suffix(""))
    loaded = load(path.with_suffix(""))
    assert torch.equal(loaded.predict_logits(inputs), model.predict_logits(inputs))
    assert loaded.manifest == model.manifest


def test_relu(path):
    notebook = notebook_model("rnn", nonlinearity="relu")
    torch.save(notebook.state_dict(), path)
    inputs = torch.randn(7, TIME, INPUT_SIZE)
    torch.testing.assert_close(
        convert(path, readout="last", nonlinearity="relu").predict_logits(inputs),
        notebook_logits(notebook, inputs, "last"),
        rtol=0,
        atol=1e-6,
    )


def test_parts_may_have_other_names(path):
    notebook = notebook_model("gru")
    renamed = nn.ModuleDict({"encoder": notebook.lstm, "head": notebook.fc})
    torch.save(renamed.state_dict(), path)
    inputs = torch.randn(7, TIME, INPUT_SIZE)
    torch.testing.assert_close(
        convert(path, readout="last").predict_logits(inputs),
        notebook_logits(notebook, inputs, "last"),
        rtol=0,
        atol=1e-6,
    )


def test_older_files_can_be_read(path):
    notebook = notebook_model()
    torch.save(notebook.state_dict(), path, _use_new_zipfile_serialization=False)
    assert convert(path, readout="last").manifest.model.cell == "lstm"


def test_the_configuration_follows_from_the_shapes(path):
    notebook = notebook_model("gru", flatten=True, bidirectional=True, num_layers=2)
    torch.save(notebook.state_dict(), path)
    model = convert(path, classes=["yes", "no"])
    config = model.manifest.model
    assert (config.cell, config.num_layers, config.bidirectional) == ("gru", 2, True)
    assert (config.input_size, config.hidden_size, config.num_classes) == (3, 4, 2)
    assert (config.readout, config.sequence_length) == ("flatten", TIME)
    assert model.classes == ("yes", "no")
    assert model.manifest.provenance.converted_from.file == "model.ckpt"
    assert convert(path).classes == ("0", "1")


@pytest.mark.parametrize(
    ("made_with", "options", "message"),
    [
        (
            {},
            {},
            r"fc\.weight has 4 columns, the outputs of one.*expected --readout last, final, mean",
        ),
        (
            {"flatten": True},
            {"readout": "last"},
            "is 'last' but .*5 steps of 4; expected 'flatten'",
        ),
        (
            {},
            {"readout": "flatten"},
            "is 'flatten' but .*the outputs of one step; expected one of last",
        ),
        ({}, {"readout": "maen"}, "is 'maen' but .*did you mean 'mean'"),
        ({}, {"readout": "attention"}, "is 'attention' but .*expected one of last, final, mean"),
        (
            {"cell": "rnn"},
            {"readout": "last"},
            "contains an RNN.*expected --nonlinearity tanh or relu",
        ),
        ({}, {"readout": "last", "nonlinearity": "relu"}, "is 'relu' but cell is 'lstm'"),
        ({}, {"readout": "last", "classes": ["a"]}, r"names 1 class but fc\.weight has 2 rows"),
        ({}, {"readout": "last", "classes": ["a", "a"]}, "classes .*'a'"),
    ],
)
def test_ambiguous_or_contradictory_options_are_refused(path, made_with, options, message):
    torch.save(notebook_model(**made_with).state_dict(), path)
    with pytest.raises(ConfigError, match=message):
        convert(path, **options)


@pytest.mark.parametrize(
    ("made_with", "message"),
    [
        ({"width": 7}, r"fc\.weight has 7 columns, not a multiple of the recurrent layer's 4"),
        ({"width": 3}, r"fc\.weight has 3 columns, not a multiple of the recurrent layer's 4"),
        ({"bias": False}, "does not fit a lstm classifier: .*bias_ih_l0"),
        ({"proj_size": 2}, r"weight_hh_l0 has shape \(16, 2\); expected 4, 3 or 1 gates"),
        ({"num_classes": 1}, r"fc\.weight has 1 row; expected 2 or more"),
    ],
)
def test_layers_of_another_kind_are_refused(path, made_with, message):
    torch.save(notebook_model(**made_with).state_dict(), path)
    with pytest.raises(BothwaysError, match=message):
        convert(path, readout="last")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lstm__weight_ih_l0": None}, "expected one recurrent layer and one linear layer"),
        (
            {"norm__weight": torch.ones(4)},
            r"contains fc\.bias, .*expected one recurrent layer and one",
        ),
        ({"gru__weight_ih_l0": torch.ones(4)}, "expected one recurrent layer and one linear layer"),
        ({"fc__weight": None}, r"has no matrix fc\.weight; expected a linear layer"),
        ({"fc__weight": torch.ones(4)}, r"has no matrix fc\.weight; expected a linear layer"),
        (
            {"lstm__weight_hh_l0": None},
            r"lstm\.weight_hh_l0 .*; expected \(num_gates",
        ),
        (
            {"lstm__weight_hh_l0": torch.ones(16)},
            r"lstm\.weight_hh_l0 .*; expected \(num_gates",
        ),
        (
            {"lstm__weight_hh_l0": torch.ones(15, 4)},
            r"lstm\.weight_hh_l0 .*; expected \(num_gates",
        ),
        ({"lstm__weight_hh_l0": torch.ones(8, 4)}, r"shape \(8, 4\); expected 4, 3 or 1 gates"),
        ({"lstm__weight_hh_l0": torch.ones(16, 0)}, r"lstm\.weight_hh_l0"),
        ({"lstm__weight_ih_l0": torch.ones(16)}, r"lstm\.weight_ih_l0"),
        ({"lstm__weight_ih_l1": torch.ones(16, 4)}, "does not fit a lstm classifier: .*_hh_l1"),
        ({"fc__bias": torch.ones(3)}, r"does not fit a lstm classifier: .*linear\.bias"),
    ],
)
def test_weights_of_another_shape_are_refused(path, changes, message):
    save_changed(path, **changes)
    with pytest.raises(CheckpointError, match=message) as error:
        convert(path, readout="last")
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ([1, 2], "list"),
        ({}, "dict"),
        (torch.ones(3), "Tensor"),
        ({"epoch": 3, "model": {"fc.weight": torch.ones(2, 4)}}, "dict"),
    ],
)
def test_only_named_tensors_are_weights(path, content, kind):
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=f"contains a {kind}; expected named tensors"):
        read_weights(path)


def test_missing_files(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.ckpt cannot be read: No such file"):
        convert(tmp_path / "none.ckpt")
    with pytest.raises(CheckpointError, match="cannot be read: Is a directory"):
        convert(tmp_path)


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def pickled(protocol):
    return lambda content, path: path.write_bytes(pickle.dumps(content, protocol))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_the_payload_of_these_tests_runs_code(tmp_path, protocol):
    pickle.loads(pickle.dumps(Payload(tmp_path / "created"), protocol))
    assert (tmp_path / "created").exists()


@pytest.mark.parametrize(
    "save",
    [torch.save, pickled(0), pickled(2), pickled(4)],
    ids=["torch.save", "pickle 0", "pickle 2", "pickle 4"],
)
def test_code_in_a_checkpoint_is_not_run(path, tmp_path, save):
    save({"fc.weight": Payload(tmp_path / "created")}, path)
    with pytest.raises(CheckpointError, match="is damaged or contains more than weights") as error:
        convert(path)
    assert not (tmp_path / "created").exists()
    assert "weights_only" not in str(error.value)
    assert "can still be loaded" not in str(error.value)
    assert str(error.value).isprintable()


def test_a_whole_module_is_not_unpickled(path):
    torch.save(notebook_model(), path)
    with pytest.raises(CheckpointError, match="is damaged or contains more than weights"):
        convert(path)


@pytest.mark.parametrize("content", [b"", b"plain text", b"PK\3\4", b"\x80\x02.", bytes(1000)])
def test_other_files_are_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged or contains more than weights") as error:
        convert(path)
    assert "weights ()" not in str(error.value)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_truncated_checkpoints_are_refused(path, zipped):
    torch.save(notebook_model().state_dict(), path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    for size in range(0, len(content), 29):
        path.write_bytes(content[:size])
        with pytest.raises(CheckpointError, match="is damaged or contains more than weights"):
            convert(path, readout="last")


def test_a_flipped_bit_in_a_checkpoint_is_noticed(path):
    weights = notebook_model().state_dict()
    torch.save(weights, path)
    content = path.read_bytes()
    for position in range(0, len(content), 13):
        damaged = bytearray(content)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        try:
            found = read_weights(path)
        except CheckpointError:
            continue
        assert found.keys() == weights.keys()
        assert all(torch.equal(found[name], weights[name]) for name in weights)
