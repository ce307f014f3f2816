"""Layers in other PyTorch code: type checks, hooks and export."""

import copy
import pickle

import pytest
import torch

import bothways.nn
from bothways import ModelConfig, SequenceClassifier
from bothways.errors import ShapeError

KINDS = ["RNN", "GRU", "LSTM"]
kinds = pytest.mark.parametrize("kind", KINDS)
# Warnings of torch about the oneDNN path of an exported LSTM.
ignore_torch_warnings = pytest.mark.filterwarnings("ignore:.*:FutureWarning")


def flat(results):
    if isinstance(results, torch.Tensor):
        return [results]
    return [tensor for part in results for tensor in flat(part)]


def assert_same(actual, expected):
    for left, right in zip(flat(actual), flat(expected), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)


@kinds
def test_a_layer_is_an_instance_of_its_counterpart(kind):
    ours, theirs = getattr(bothways.nn, kind), getattr(torch.nn, kind)
    layer = ours(3, 4, num_layers=2, bidirectional=True)
    assert isinstance(layer, theirs)
    assert list(layer.state_dict()) == list(theirs(3, 4, 2, bidirectional=True).state_dict())
    layer.flatten_parameters()
    inputs = torch.randn(5, 2, 3)
    expected = layer(inputs)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(other) is ours
        assert_same(other(inputs), expected)


@kinds
def test_layers_are_found_by_type(kind):
    model = torch.nn.Sequential(getattr(bothways.nn, kind)(3, 4))
    for module in model.modules():
        if isinstance(module, getattr(torch.nn, kind)):
            torch.nn.init.constant_(module.bias_hh_l0, 7)
    assert (model[0].bias_hh_l0 == 7).all()


@kinds
def test_a_deleted_weight_raises(kind):
    layer = getattr(bothways.nn, kind)(3, 4)
    del layer.weight_hh_l0
    with pytest.raises(ShapeError, match=r"weight_hh_l0 of .* is missing; expected a tensor"):
        layer(torch.randn(5, 2, 3))


def test_last_choice_is_the_backend_that_ran():
    class Tagged(torch.Tensor):
        pass

    layer = bothways.nn.LSTM(3, 4)
    assert layer.last_choice is None
    inputs = torch.randn(5, 2, 3)
    layer(inputs)
    assert layer.last_choice.name == "compiled"
    layer(inputs.as_subclass(Tagged))
    assert layer.backend_choice.name == "compiled"
    assert layer.last_choice.name == "torch"
    assert "Tagged" in layer.last_choice.reason


@kinds
@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
@pytest.mark.parametrize("ragged", [False, True], ids=["padded", "ragged"])
@ignore_torch_warnings
def test_an_exported_layer_gives_the_same_results(kind, strict, ragged):
    layer = getattr(bothways.nn, kind)(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    inputs = torch.randn(4, 6, 3)
    options = {"lengths": torch.tensor([6, 2, 4, 1])} if ragged else {}
    program = torch.export.export(layer.eval(), (inputs,), options, strict=strict)
    others = {"lengths": torch.tensor([3, 3, 1, 5])} if ragged else {}
    inputs = torch.randn(4, 6, 3)
    assert_same(program.module()(inputs, **others), layer(inputs, **others))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("readout", ["last", "final", "flatten", "mean", "max", "attention"])
@pytest.mark.parametrize("normalization", ["dataset", "both"])
@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
@pytest.mark.pairwise
@ignore_torch_warnings
def test_an_exported_classifier_takes_other_batches(cell, readout, normalization, strict):
    config = ModelConfig(
        cell=cell,
        readout=readout,
        input_size=3,
        hidden_size=4,
        num_classes=2,
        normalization=normalization,
        missing="mean",
        sequence_length=6 if readout == "flatten" else None,
        stem_channels=None if readout == "flatten" else 5,
    )
    model = SequenceClassifier(config).eval()
    arguments = (torch.randn(4, 6, 3), torch.tensor([6, 2, 4, 1]))
    batch = torch.export.Dim("batch", min=2, max=1000)
    shapes = ({0: batch}, {0: batch})
    program = torch.export.export(model, arguments, dynamic_shapes=shapes, strict=strict)
    inputs, lengths = torch.randn(7, 6, 3), torch.tensor([1, 6, 2, 5, 3, 4, 6])
    inputs[0, 1:] = torch.nan  # padding
    assert_same(program.module()(inputs, lengths), model(inputs, lengths))


@pytest.mark.parametrize("readout", ["last", "final", "mean"])
def test_forward_hooks_are_called_and_do_not_change_results(readout):
    torch.manual_seed(0)
    config = ModelConfig(input_size=3, hidden_size=4, num_classes=2, readout=readout)
    model = SequenceClassifier(config)
    inputs, lengths = torch.randn(4, 6, 3), [6, 2, 4, 1]
    expected = model(inputs, lengths)
    seen = []
    for module in (model.layers, model.readout, model.linear):
        module.register_forward_hook(lambda module, *_: seen.append(type(module).__name__))
    torch.testing.assert_close(model(inputs, lengths), expected, rtol=1e-5, atol=1e-6)
    assert seen == ["LSTM", readout.capitalize(), "Linear"]


def test_a_forward_hook_may_replace_the_outputs():
    config = ModelConfig(input_size=3, hidden_size=4, num_classes=2, readout="last")
    model = SequenceClassifier(config)
    model.layers.register_forward_hook(lambda module, _, result: (result[0] * 0, result[1]))
    logits = model(torch.randn(4, 6, 3))
    torch.testing.assert_close(logits, model.linear.bias.expand(4, 2))


@pytest.mark.parametrize("readout", ["last", "final", "flatten", "mean", "max", "attention"])
def test_an_empty_batch_has_no_logits(readout):
    length = 6 if readout == "flatten" else None
    config = ModelConfig(
        input_size=3, hidden_size=4, num_classes=2, readout=readout, sequence_length=length
    )
    for time in (6, 8):
        assert SequenceClassifier(config)(torch.zeros(0, time, 3)).shape == (0, 2)


@pytest.mark.parametrize("stem", [None, 4])
def test_the_default_dtype_does_not_change_bits(stem):
    config = ModelConfig(
        input_size=3,
        hidden_size=4,
        num_classes=2,
        readout="attention",
        normalization="dataset",
        stem_channels=stem,
        calibrate=True,
    )
    inputs = torch.randn(4, 6, 3)
    logits = []
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            torch.manual_seed(0)
            logits.append(SequenceClassifier(config).eval()(inputs))
        finally:
            torch.set_default_dtype(torch.float32)
    assert torch.equal(*logits)
