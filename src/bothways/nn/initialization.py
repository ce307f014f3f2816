"""Initial weights drawn from a generator, with the same values as torch's initialization.

The constructors of `torch.nn` draw from torch's default generator, which all threads of a process
share. Two trainings in two threads would therefore change each other's random numbers.
"""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from bothways.config import ModelConfig
from bothways.nn.classifier import TorchClassifier
from bothways.nn.ensemble import make_classifier


def new_classifier(
    config: ModelConfig, generator: torch.Generator, *, backend: str = "auto"
) -> TorchClassifier:
    """Return a classifier on the CPU whose weights are drawn from `generator`.

    They equal the weights that the constructor draws after `torch.manual_seed` with the same seed.
    The members of an ensemble draw one after another: the first one has the weights that a single
    network would have.
    """
    classifier = unset_classifier(config, backend=backend)
    with torch.no_grad():
        for module in classifier.modules():
            _initialize(module, generator)
            if hasattr(module, "reset_buffers"):
                cast(Any, module).reset_buffers()
    return classifier


def unset_classifier(config: ModelConfig, *, backend: str = "auto") -> TorchClassifier:
    """Return a classifier on the CPU whose weights have arbitrary values, without random numbers.

    It is faster than a classifier on torch's device "meta", which imports packages of a second.
    """
    with torch.device("cpu"), _WithoutInitialization():
        return make_classifier(config, backend=backend)


class _WithoutInitialization(TorchFunctionMode):
    """Make the functions of `torch.nn.init` return their tensor unchanged, in this thread."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return kwargs["tensor"]
        return func(*args, **kwargs)


def _initialize(module: nn.Module, generator: torch.Generator) -> None:
    """Initialize the parameters of a module, without its children, like `reset_parameters`."""
    if isinstance(module, nn.RNNBase):
        bound = 1 / math.sqrt(module.hidden_size)
        for weight in module.parameters():
            nn.init.uniform_(weight, -bound, bound, generator=generator)
    elif isinstance(module, nn.Linear | nn.Conv1d):
        nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
        if module.bias is not None:
            bound = 1 / math.sqrt(module.weight[0].numel())
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, generator=generator)
