import subprocess
import sys

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from bothways import TrainConfig
from bothways.training.loop.flat_weights import FlatWeights
from bothways.training.loop.optimizers import Optimizer, learning_rate_at


def torchs_rates(make_scheduler, peak, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    scheduler = make_scheduler(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def our_rates(steps, **settings):
    config = TrainConfig(learning_rate=0.1, **settings)
    return [learning_rate_at(config, step, steps) for step in range(steps)]


@pytest.mark.parametrize("steps", [10, 57])
def test_cosine_matches_torch(steps):
    expected = torchs_rates(lambda o: CosineAnnealingLR(o, T_max=steps), 0.1, steps)
    assert our_rates(steps, schedule="cosine") == pytest.approx(expected)


@pytest.mark.parametrize("steps", [20, 57])
@pytest.mark.parametrize("warmup", [None, 0.1, 0.5])
def test_one_cycle_matches_torch(steps, warmup):
    def scheduler(optimizer):
        return OneCycleLR(
            optimizer, max_lr=0.1, total_steps=steps, pct_start=warmup or 0.3, cycle_momentum=False
        )

    # torch counts one step beyond the last: its rates are compared where both are defined.
    expected = torchs_rates(scheduler, 0.1, steps - 1)
    ours = our_rates(steps, schedule="one_cycle", warmup_fraction=warmup)
    assert ours[:-1] == pytest.approx(expected)
    assert ours[-1] == pytest.approx(0.1 / 25 / 1e4)


def test_constant_is_constant():
    assert our_rates(3) == [0.1] * 3


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_short_trainings_have_finite_rates(schedule, steps):
    assert all(0 < rate <= 0.1 for rate in our_rates(steps, schedule=schedule))


PLAIN = {
    "adam": lambda weights: torch.optim.Adam(weights, lr=0.1, weight_decay=0.01),
    "adamw": lambda weights: torch.optim.AdamW(weights, lr=0.1, weight_decay=0.01),
    "sgd": lambda weights: torch.optim.SGD(weights, lr=0.1, weight_decay=0.01),
    "momentum": lambda weights: torch.optim.SGD(weights, lr=0.1, weight_decay=0.01, momentum=0.9),
}


def make_optimizer(name, weights, flat=None):
    settings = {"optimizer": "sgd", "momentum": 0.9} if name == "momentum" else {"optimizer": name}
    return Optimizer(TrainConfig(weight_decay=0.01, **settings), weights, flat)


def make_weights():
    torch.manual_seed(0)
    return [torch.nn.Parameter(torch.randn(7)), torch.nn.Parameter(torch.randn(2, 3))]


def set_gradients(weights):
    for weight in weights:
        weight.grad = None
    sum((weight**2).sum() for weight in weights).backward()


@pytest.mark.parametrize("name", PLAIN)
def test_steps_are_those_of_torch(name):
    ours, theirs = make_weights(), make_weights()
    optimizer, plain = make_optimizer(name, ours), PLAIN[name](theirs)
    for _ in range(5):
        set_gradients(ours)
        set_gradients(theirs)
        optimizer.step(0.1)
        plain.step()
    for mine, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, expected)


@pytest.mark.parametrize("name", PLAIN)
def test_flat_weights_are_updated_alike_and_have_the_same_state(name):
    apart, flat_ones = make_weights(), make_weights()
    flat = FlatWeights(flat_ones)
    flat.attach()
    optimizer, joined = make_optimizer(name, apart), make_optimizer(name, flat_ones, flat)
    for _ in range(3):
        set_gradients(apart)
        for weight, other in zip(flat_ones, apart, strict=True):
            weight.grad.copy_(other.grad)
        optimizer.step(0.1)
        joined.step(0.1)
    for found, expected in zip(flat_ones, apart, strict=True):
        torch.testing.assert_close(found, expected)
    assert joined.state().keys() == optimizer.state().keys()
    for key, expected in optimizer.state().items():
        torch.testing.assert_close(joined.state()[key], expected)
    restored = make_optimizer(name, flat_ones, flat)
    restored.restore(joined.state())
    assert all(torch.equal(restored.state()[key], joined.state()[key]) for key in joined.state())


@pytest.mark.parametrize("name", PLAIN)
def test_a_restored_optimizer_continues_with_the_same_bits(name):
    ours = make_weights()
    optimizer = make_optimizer(name, ours)
    for step in range(6):
        if step == 3:
            state = {key: tensor.clone() for key, tensor in optimizer.state().items()}
            copies = [torch.nn.Parameter(weight.detach().clone()) for weight in ours]
        set_gradients(ours)
        optimizer.step(0.1)
    restored = make_optimizer(name, copies)
    restored.restore(state)
    for _ in range(3):
        set_gradients(copies)
        restored.step(0.1)
    assert all(map(torch.equal, copies, ours))


def test_a_parameter_without_gradient_is_not_changed():
    weights = make_weights()
    before = weights[1].detach().clone()
    optimizer = make_optimizer("adamw", weights)
    (weights[0] ** 2).sum().backward()
    optimizer.step(0.1)
    assert torch.equal(weights[1], before)


def test_a_training_does_not_import_the_compiler_of_torch():
    code = """
import sys, torch
from bothways import ModelConfig, Sequences, SequenceClassifier, TrainConfig
from bothways.training.loop.trainer import start_training
sequences = Sequences.from_padded(torch.zeros(4, 3, 2), labels=[0, 1, 0, 1])
config = TrainConfig(epochs=1, gradient_clip=1.0, average_decay=0.9)
model = ModelConfig(input_size=2, num_classes=2, hidden_size=4)
list(start_training(model, config, sequences).events())
print(sorted({"torch._dynamo", "sympy"} & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
