"""Initial weights drawn from a generator, with the same values as torch's initialization.

The constructors of `torch.nn` draw from torch's default generator, which all threads of a process
share. Two trainings in two threads would therefore change each other's random numbers.
"""

import math
from typing import Any, cast

import torch
from torch import nn

from bothways.config import ModelConfig
from bothways.nn.classifier import SequenceClassifier


def new_classifier(
    config: ModelConfig, generator: torch.Generator, *, backend: str = "auto"
) -> SequenceClassifier:
    """Return a classifier on the CPU whose weights are drawn from `generator`.

    They equal the weights that the constructor draws after `torch.manual_seed` with the same seed.
    """
    with torch.device("meta"):
        classifier = SequenceClassifier(config, backend=backend)
    classifier = classifier.to_empty(device="cpu")
    with torch.no_grad():
        for module in classifier.modules():
            _initialize(module, generator)
            if hasattr(module, "reset_buffers"):
                cast(Any, module).reset_buffers()
    return classifier


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
