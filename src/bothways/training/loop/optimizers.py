"""Optimizers in their fused forms, and learning rates as functions of the step."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from bothways.config import TrainConfig
from bothways.training.loop.flat_weights import FlatWeights

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
    flat : FlatWeights, optional
        Of the same parameters. Where they are attached, all are updated as one tensor.
    """

    def __init__(
        self,
        config: TrainConfig,
        parameters: Iterable[Parameter],
        flat: FlatWeights | None = None,
    ) -> None:
        self._config, self._flat = config, flat
        self._parameters = list(parameters)
        names = ["exp_avg", "exp_avg_sq"]
        if config.optimizer == "sgd":
            names = ["momentum_buffer"] if config.momentum else []
        weights = [weight.detach() for weight in self._parameters]
        self._blocks: dict[str, list[Tensor]] = {}
        if flat is None:
            self._moments = {name: list(map(torch.zeros_like, weights)) for name in names}
        else:
            self._blocks = {name: [torch.zeros_like(flat.weights)] for name in names}
            self._moments = {name: flat.views(block) for name, (block,) in self._blocks.items()}
        device = weights[0].device if weights else None
        self._counts = torch.zeros(len(weights), dtype=torch.float32, device=device)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """See `FlatWeights.__setstate__`."""
        self.__dict__.update(state)
        if self._flat is not None:
            self._moments = {n: self._flat.views(block) for n, (block,) in self._blocks.items()}

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update all parameters that have a gradient."""
        flat = self._flat
        if flat is not None and flat.are_attached:
            self._counts += 1
            count = [self._counts[0]]  # all are equal
            self._update([flat.weights], [flat.gradients], self._blocks, count, learning_rate)
            return
        chosen = [n for n, weight in enumerate(self._parameters) if weight.grad is not None]
        weights: list[Tensor] = [self._parameters[n] for n in chosen]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        counts = list(self._counts.unbind())
        moments = self._moments
        if len(chosen) == len(counts):
            self._counts += 1  # much faster than adding to each
        else:
            counts = [counts[n] for n in chosen]
            moments = {name: [own[n] for n in chosen] for name, own in moments.items()}
            torch._foreach_add_(counts, 1)
        self._update(weights, gradients, moments, counts, learning_rate)

    def _update(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        moments: dict[str, list[Tensor]],
        counts: list[Tensor],
        learning_rate: float,
    ) -> None:
        common: dict[str, Any] = {
            "lr": learning_rate, "weight_decay": self._config.weight_decay, "maximize": False,
        }  # fmt: skip
        if self._config.optimizer == "sgd":
            torch._fused_sgd_(
                weights,
                gradients,
                moments.get("momentum_buffer", []),
                momentum=self._config.momentum or 0.0,
                dampening=0.0,
                nesterov=False,
                is_first_step=False,
                **common,
            )
            return
        update = torch._fused_adam_ if self._config.optimizer == "adam" else torch._fused_adamw_
        update(
            weights,
            gradients,
            moments["exp_avg"],
            moments["exp_avg_sq"],
            [],
            counts,
            beta1=0.9,
            beta2=0.999,
            eps=1e-8,
            amsgrad=False,
            **common,
        )

    def state(self) -> dict[str, Tensor]:
        """Return all tensors of the state, by the number of the parameter and the name."""
        moments = self._moments
        if self._config.optimizer != "sgd":
            moments = {**moments, "step": list(self._counts.unbind())}
        return {
            f"{n}.{name}": tensor
            for name, tensors in moments.items()
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
