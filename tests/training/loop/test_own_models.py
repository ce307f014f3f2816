"""Trainings of models that were changed by hand, by both paths."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from bothways import ModelConfig, SequenceClassifier, Sequences, TrainConfig
from bothways.errors import ShapeError
from bothways.nn.pooling import Final
from bothways.training.loop import trainer
from bothways.training.loop.trainer import Training

SGD = TrainConfig(optimizer="sgd", learning_rate=1.0, batch_size=8, epochs=2)


def draw_sequences(features=3):
    generator = np.random.default_rng(0)
    steps = [generator.normal(size=(9, features)).astype(np.float32) for _ in range(24)]
    return Sequences.from_arrays(steps, generator.integers(0, 4, 24))


def draw_model(**settings):
    torch.manual_seed(0)
    return SequenceClassifier(
        ModelConfig(**{"input_size": 3, "num_classes": 4, "hidden_size": 5, **settings})
    )


def pickled(training):
    return pickle.loads(pickle.dumps(training))


def saved(training):
    file = io.BytesIO()
    torch.save(training, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


class Scaled(nn.Linear):
    def forward(self, input):
        return 3 * super().forward(input.tanh())


class Sine(Final):
    def forward(self, outputs, h_n, lengths):
        return super().forward(outputs, h_n, lengths).sin()


def normalize(model):
    nn.utils.parametrizations.weight_norm(model.linear)


def remove_bias(model):
    model.linear = nn.Linear(10, 4, bias=False)


def replace_linear(model):
    model.linear = Scaled(10, 4)


def replace_by_two_layers(model):
    model.linear = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 4))


def replace_readout(model):
    model.readout = Sine(model.config, 10)


def tie_directions(model):
    model.layers.weight_hh_l0_reverse = model.layers.weight_hh_l0


def mask_a_gradient(model):
    model.layers.weight_hh_l0.register_hook(lambda gradient: gradient * 0)


CHANGES = [
    normalize, remove_bias, replace_linear, replace_by_two_layers, replace_readout, tie_directions,
    mask_a_gradient,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_changed_model_is_trained_as_by_autograd(change, monkeypatch):
    def trained():
        model = draw_model()
        change(model)
        list(Training(model, draw_sequences(), SGD).events())
        return model.state_dict()

    found = trained()
    monkeypatch.setattr(trainer, "is_plain", lambda network: False)
    for name, expected in trained().items():
        torch.testing.assert_close(found[name], expected, msg=f"{name} differs")


@pytest.mark.parametrize("features", [2, 5])  # 500 features: segmentation fault
def test_sequences_with_other_features_are_refused(features):
    with pytest.raises(ShapeError, match="features per step"):
        list(Training(draw_model(), draw_sequences(features), SGD).events())


def test_a_training_does_not_depend_on_the_default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        list(Training(draw_model(), draw_sequences(), SGD).events())
    finally:
        torch.set_default_dtype(torch.float32)


def test_gradients_that_are_removed_between_steps_are_not_lost(monkeypatch):
    def trained():
        model = draw_model()
        for _ in Training(model, draw_sequences(), SGD).events():
            model.zero_grad()
        return model.linear.weight.detach()

    found = trained()
    monkeypatch.setattr(trainer, "is_plain", lambda network: False)
    torch.testing.assert_close(found, trained())


def test_a_layer_that_is_frozen_between_steps_does_not_change():
    model = draw_model()
    events = Training(model, draw_sequences(), SGD).events()
    next(events)
    model.layers.requires_grad_(False)
    expected = model.layers.weight_hh_l0.clone()
    list(events)
    assert torch.equal(model.layers.weight_hh_l0, expected)


def test_of_two_trainings_of_a_model_either_trains_it():
    model = draw_model()
    first, _second = (Training(model, draw_sequences(), SGD) for _ in range(2))
    before = model.linear.weight.detach().clone()
    list(first.events())
    assert not torch.equal(model.linear.weight, before)


def test_a_copy_of_a_training_trains_its_own_model():
    training = Training(draw_model(), draw_sequences(), SGD)
    events = training.events()  # while it is open, the gradients remain
    next(events)
    gradient = training.model.linear.weight.grad.clone()
    copied = copy.deepcopy(training)
    before = copied.model.linear.weight.detach().clone()
    next(copied.events())
    assert not torch.equal(copied.model.linear.weight, before)
    assert torch.equal(training.model.linear.weight.grad, gradient)


@pytest.mark.parametrize("make_copy", [copy.deepcopy, pickled, saved])
def test_a_copy_of_a_training_goes_on_like_the_original(make_copy):
    training = Training(draw_model(), draw_sequences(), TrainConfig(batch_size=8, epochs=2))
    events = training.events()
    next(events)
    copied = make_copy(training)
    list(events)
    list(copied.events())
    for name, weight in training.model.named_parameters():
        assert torch.equal(weight, copied.model.get_parameter(name)), name


def test_a_model_in_training_may_be_moved_to_shared_memory():
    expected, model = draw_model(), draw_model()
    list(Training(expected, draw_sequences(), SGD).events())
    for _ in Training(model, draw_sequences(), SGD).events():
        model.share_memory()
    for name, weight in expected.named_parameters():
        assert torch.equal(weight, model.get_parameter(name)), name


def test_weights_in_training_may_be_transposed():
    """A transposed square weight has the same address and the same shape."""
    models = draw_model(cell="rnn"), draw_model(cell="rnn")
    events = [Training(model, draw_sequences(), SGD).events() for model in models]
    for model, steps in zip(models, events, strict=True):
        next(steps)
        weight = model.layers.weight_hh_l0
        transposed = weight.data.t()
        weight.data = transposed if model is models[0] else transposed.contiguous()
        list(steps)
    for name, weight in models[0].named_parameters():
        assert torch.equal(weight, models[1].get_parameter(name)), name


class Operators(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(str(func))
        return func(*args, **(kwargs or {}))


def test_a_dispatch_mode_sees_the_layers():
    training = Training(draw_model(), draw_sequences(), SGD)
    with Operators() as operators:
        next(training.events())
    assert any("rnn_layer_backward" in name for name in operators.names), operators.names


def test_a_trained_model_is_pickled_without_copies_of_the_block():
    model = draw_model(hidden_size=64)
    expected = len(pickle.dumps(model))
    list(Training(model, draw_sequences(), SGD).events())
    assert len(pickle.dumps(model)) < 2 * expected
    part = io.BytesIO()
    torch.save(model.linear.state_dict(), part)
    assert len(part.getvalue()) < expected / 4


def test_safetensors_saves_a_trained_model(tmp_path):
    from safetensors.torch import save_model

    model = draw_model()
    list(Training(model, draw_sequences(), SGD).events())
    save_model(model, tmp_path / "model.safetensors")
