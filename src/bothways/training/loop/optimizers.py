"""Optimizers in their fused forms, and learning rates as functions of the step."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch.nn import Parameter

from bothways.config import TrainConfig

# As torch.optim.lr_scheduler.OneCycleLR's div_factor and final_div_factor.
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = ONE_CYCLE_START / 1e4


def make_optimizer(
    config: TrainConfig, parameters: Iterable[Parameter], device: torch.device
) -> torch.optim.Optimizer:
    """Return the optimizer, with torch's default betas, in one call for all parameters."""
    fused = device.type in ("cpu", "cuda")
    common: dict[str, Any] = {
        "lr": config.learning_rate,
        "weight_decay": config.weight_decay,
        "fused": fused,
        "foreach": not fused,
    }
    if config.optimizer == "adam":
        return torch.optim.Adam(parameters, **common)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **common)
    return torch.optim.SGD(parameters, momentum=config.momentum or 0.0, **common)


def learning_rate_at(config: TrainConfig, step: int, total_steps: int) -> float:
    """Return the learning rate of `step` (0..total_steps - 1).

    References
    ----------
    cosine: Loshchilov & Hutter 2017, as `torch.optim.lr_scheduler.CosineAnnealingLR`. one_cycle:
    Smith & Topin 2018, as `OneCycleLR` with cosine annealing, with constant momentum.
    """
    peak = config.learning_rate
    if config.schedule == "constant":
        return peak
    if config.schedule == "cosine":
        return _cosine(peak, 0.0, step / total_steps)
    warmup_end = (config.warmup_fraction or 0.3) * total_steps - 1
    if step <= warmup_end:
        return _cosine(peak * ONE_CYCLE_START, peak, step / warmup_end if warmup_end else 1.0)
    fraction = (step - warmup_end) / (total_steps - 1 - warmup_end)
    return _cosine(peak, peak * ONE_CYCLE_END, fraction)


def _cosine(start: float, end: float, fraction: float) -> float:
    """Interpolate between `start` and `end` along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2
