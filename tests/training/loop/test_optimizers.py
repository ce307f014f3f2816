import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from bothways import TrainConfig
from bothways.training.loop.optimizers import learning_rate_at, make_optimizer

CPU = torch.device("cpu")


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


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"optimizer": "adam"}, torch.optim.Adam),
        ({"optimizer": "adamw"}, torch.optim.AdamW),
        ({"optimizer": "sgd", "momentum": 0.9}, torch.optim.SGD),
    ],
)
def test_optimizers_are_the_fused_ones_of_torch(settings, kind):
    config = TrainConfig(learning_rate=0.1, weight_decay=0.01, **settings)
    optimizer = make_optimizer(config, [torch.nn.Parameter(torch.ones(2))], CPU)
    assert type(optimizer) is kind
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"], group["fused"]) == (0.1, 0.01, True)
    assert group.get("momentum", 0.9) == 0.9
    assert group.get("betas", (0.9, 0.999)) == (0.9, 0.999)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_fused_steps_match_plain_ones(optimizer):
    weights = []
    for fused in (True, False):
        torch.manual_seed(0)
        parameter = torch.nn.Parameter(torch.randn(7))
        config = TrainConfig(optimizer=optimizer, learning_rate=0.1, weight_decay=0.01)
        made = make_optimizer(config, [parameter], CPU)
        if not fused:
            made.param_groups[0]["fused"] = made.param_groups[0]["foreach"] = False
        for _ in range(5):
            made.zero_grad()
            (parameter**2).sum().backward()
            made.step()
        weights.append(parameter.detach())
    torch.testing.assert_close(*weights)
