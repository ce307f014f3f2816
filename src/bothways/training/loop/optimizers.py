"""Optimizers in their fused forms, and learning rates as functions of the step."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from bothways.config import TrainConfig

# As torch.optim.lr_scheduler.OneCycleLR's div_factor and final_div_factor.
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = ONE_CYCLE_START / 1e4


class Optimizer:
    """Adam, AdamW or SGD, in one operation for all parameters.

    The operations and their state are those of `torch.optim` with `fused=True` and the default
    betas. The classes of `torch.optim` import torch's compiler in their first step, which takes
    longer than many trainings on small data.

    Parameters
    ----------
    config : TrainConfig
    parameters : iterable of Parameter
        All on one device.
    """

    def __init__(self, config: TrainConfig, parameters: Iterable[Parameter]) -> None:
        self._config = config
        self._parameters = list(parameters)
        self._slots: dict[str, list[Tensor]] = {}
        weights = [parameter.detach() for parameter in self._parameters]
        if config.optimizer != "sgd":
            self._slots["exp_avg"] = list(map(torch.zeros_like, weights))
            self._slots["exp_avg_sq"] = list(map(torch.zeros_like, weights))
            self._counts = torch.zeros(
                len(weights), dtype=torch.float32, device=weights[0].device if weights else None
            )
            self._slots["step"] = list(self._counts.unbind())
        elif config.momentum:
            self._slots["momentum_buffer"] = list(map(torch.zeros_like, weights))

    def zero_grad(self) -> None:
        """Remove all gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update all parameters that have a gradient."""
        found = [parameter.grad for parameter in self._parameters]
        gradients = [gradient for gradient in found if gradient is not None]
        parameters: list[Tensor] = list(self._parameters)
        slots, all_found = self._slots, len(gradients) == len(found)
        if not all_found:
            chosen = [n for n, gradient in enumerate(found) if gradient is not None]
            parameters = [parameters[n] for n in chosen]
            slots = {name: [tensors[n] for n in chosen] for name, tensors in slots.items()}
        common: dict[str, Any] = {
            "lr": learning_rate, "weight_decay": self._config.weight_decay, "maximize": False,
        }  # fmt: skip
        if self._config.optimizer == "sgd":
            torch._fused_sgd_(
                parameters,
                gradients,
                slots.get("momentum_buffer", []),
                momentum=self._config.momentum or 0.0,
                dampening=0.0,
                nesterov=False,
                is_first_step=False,
                **common,
            )
            return
        update = torch._fused_adam_ if self._config.optimizer == "adam" else torch._fused_adamw_
        if all_found:
            self._counts += 1  # much faster than adding to each
        else:
            torch._foreach_add_(slots["step"], 1)
        update(
            parameters,
            gradients,
            slots["exp_avg"],
            slots["exp_avg_sq"],
            [],
            slots["step"],
            beta1=0.9,
            beta2=0.999,
            eps=1e-8,
            amsgrad=False,
            **common,
        )

    def state(self) -> dict[str, Tensor]:
        """Return all tensors of the state, by the number of the parameter and the name."""
        return {
            f"{n}.{name}": tensor
            for name, tensors in self._slots.items()
            for n, tensor in enumerate(tensors)
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore a `state` of an optimizer of the same parameters and settings."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])


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
