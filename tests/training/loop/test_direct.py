"""Gradients without autograd, compared with those of autograd."""

import numpy as np
import pytest
import torch

from bothways import ModelConfig, SequenceClassifier, Sequences, TrainConfig
from bothways.data.batching import IGNORED
from bothways.kernels.backends import bfloat16_obstacle
from bothways.kernels.compiled.stats import counters
from bothways.nn.ensemble import make_classifier
from bothways.training.loop import trainer
from bothways.training.loop.direct import is_plain
from bothways.training.loop.trainer import Training

MODELS = {
    "final": {},
    "last": {"readout": "last"},
    "flatten": {"readout": "flatten", "sequence_length": 11},
    "mean": {"readout": "mean"},
    "max": {"readout": "max"},
    "attention": {"readout": "attention"},
    "combined": {"readout": "final+flatten+attention", "sequence_length": 9},
    "step": {"readout": "step"},
    "forward": {"bidirectional": False},
    "gru": {"cell": "gru"},
    "rnn, 1 layer": {"cell": "rnn", "num_layers": 1},
    "dropout": {"dropout": 0.4, "readout": "flatten", "sequence_length": 9},
    "preprocessing": {"normalization": "both", "missing": "mask", "input_jitter": 0.1},
    "calibrated": {"calibrate": True},
    "members": {"members": 2},
}
SETTINGS = {
    "class weights": {"class_weights": "balanced"},
    "smoothing": {"label_smoothing": 0.2},
    "clipping": {"gradient_clip": 0.01},
    "augmentation": {"augment_scale": 0.3, "augment_time_shift": 0.2},
}


def draw_sequences(target="sequence", *, ragged=True):
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 10, 24) if ragged else np.full(24, 9)
    arrays = [generator.normal(size=(length, 3)).astype(np.float32) for length in lengths]
    if target == "sequence":
        return Sequences.from_arrays(arrays, generator.integers(0, 4, 24))
    labels = [generator.integers(IGNORED, 4, length) for length in lengths]
    return Sequences.from_arrays(arrays).with_step_labels(labels)


def draw_model(**settings):
    torch.manual_seed(0)
    config = {"input_size": 3, "num_classes": 4, "hidden_size": 5, "num_layers": 2, **settings}
    return make_classifier(ModelConfig(**config))


def train_step(model, sequences, **settings):
    """Return the training of a model after one step of SGD: its weights show its gradients."""
    options = {"optimizer": "sgd", "learning_rate": 1.0, "batch_size": 24, "epochs": 1, **settings}
    training = Training(model, sequences, TrainConfig(**options))
    next(training.events())
    return training


def assert_same_step(monkeypatch, model, sequences, **settings):
    direct = train_step(draw_model(**model), sequences, **settings)
    assert all(map(is_plain, direct.model.networks))
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "is_plain", lambda network: False)
        general = train_step(draw_model(**model), sequences, **settings)
    found, expected = direct.state()[0], general.state()[0]
    assert direct.loss() == pytest.approx(general.loss(), rel=1e-5)
    assert direct.running_accuracy == general.running_accuracy
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("ragged", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_the_gradients_are_those_of_autograd(name, ragged, monkeypatch):
    target = "step" if name == "step" else "sequence"
    sequences = draw_sequences(target, ragged=ragged)
    assert_same_step(monkeypatch, MODELS[name], sequences)


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_the_training_have_their_effect(name, monkeypatch):
    assert_same_step(monkeypatch, MODELS["dropout"], draw_sequences(), **SETTINGS[name])


def test_weights_of_sequences_have_their_effect(monkeypatch):
    plain = draw_sequences()
    sequences = plain.with_labels(plain.labels, torch.linspace(0.1, 2, len(plain)))
    assert_same_step(monkeypatch, {}, sequences)


def test_batches_of_several_shapes_use_the_memory_of_their_own(monkeypatch):
    lengths = [4] * 8 + [9] * 8 + [2] * 5
    arrays = [np.random.default_rng(n).normal(size=(t, 3)) for n, t in enumerate(lengths)]
    sequences = Sequences.from_arrays(arrays, np.arange(21) % 4)

    def train():
        options = {"batch_size": 4, "epochs": 3, "learning_rate": 0.01}
        training = Training(draw_model(), sequences, TrainConfig(**options))
        list(training.events())
        return training.model.state_dict()

    found = train()
    monkeypatch.setattr(trainer, "is_plain", lambda network: False)
    for name, tensor in train().items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)


def test_each_step_runs_the_engine_once_forward_and_once_backward():
    counters.reset()
    train_step(draw_model(), draw_sequences())
    assert (counters.forward, counters.backward) == (1, 1)


def test_bfloat16_is_that_of_the_general_path(monkeypatch):
    if bfloat16_obstacle(torch.device("cpu")):
        pytest.skip("this processor has no AVX512_BF16")
    assert_same_step(monkeypatch, {}, draw_sequences(), precision="bfloat16")


def frozen(model):
    model.linear.weight.requires_grad = False


def hooked(model):
    model.layers.register_forward_hook(lambda *_: None)


def parametrized(model):
    torch.nn.utils.parametrizations.weight_norm(model.layers, "weight_hh_l0")


@pytest.mark.parametrize("change", [frozen, hooked, parametrized])
def test_changed_networks_are_trained_by_autograd(change):
    model = draw_model()
    change(model)
    assert not is_plain(model)
    before = model.linear.weight.clone()
    train_step(model, draw_sequences())
    assert torch.equal(model.linear.weight, before) == (change is frozen)


@pytest.mark.parametrize(
    "settings",
    [
        {"stem_channels": 3},
        {"initial_state": "normal"},
        {"categories": (0, 4, 0)},
        {"readout": "step", "lookahead": 4},
    ],
)
def test_networks_with_more_parts_are_not_plain(settings):
    assert not is_plain(draw_model(**settings))


def test_subclasses_are_not_plain():
    class Special(SequenceClassifier):
        pass

    assert not is_plain(Special(ModelConfig(input_size=3, num_classes=4)))
