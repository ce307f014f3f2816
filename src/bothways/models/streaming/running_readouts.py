"""The readouts of a forward network after each step, from sums over the steps so far.

The sums add one step after the other in float64, so that their bits do not depend on the chunks in
which the steps come. The readouts of `bothways.nn.pooling` add in float32, in another order: mean
and attention agree with them to the rounding errors of float32, the others exactly.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from bothways.errors import ConfigError
from bothways.models.streaming.carried import Carried, at_last, named, of_prefix
from bothways.nn.pooling import Attention, Combined, Max, Mean, Pooling
from bothways.nn.rowwise import rowwise_linear

_LARGEST_EXPONENT = 700.0
"""The exponential function of more exceeds float64."""


class RunningReadout(ABC):
    """Base class of the readouts of the steps so far.

    Attributes
    ----------
    initial : dict of Tensor
        What is carried before the first step, without a batch axis.
    """

    initial: Carried

    @abstractmethod
    def run(
        self, outputs: Tensor, lengths: Tensor, counts: Tensor, carried: Mapping[str, Tensor]
    ) -> tuple[Tensor, Carried]:
        """Return the features after each step.

        Parameters
        ----------
        outputs : Tensor (batch, time, output_size)
            Outputs of the recurrent layers.
        lengths : int64 Tensor (batch,)
        counts : int64 Tensor (batch,)
            Numbers of earlier steps.
        carried : dict of Tensor (batch, ...)

        Returns
        -------
        features : Tensor (batch, time, features_size)
            Meaningless at and past `lengths`.
        carried : dict of Tensor (batch, ...)
            After the last step of each row.
        """


class RunningOutputs(RunningReadout):
    """Readouts last, final and step: the outputs themselves."""

    def __init__(self) -> None:
        self.initial = {}

    def run(
        self, outputs: Tensor, lengths: Tensor, counts: Tensor, carried: Mapping[str, Tensor]
    ) -> tuple[Tensor, Carried]:
        """Return the outputs."""
        return outputs, {}


class RunningMean(RunningReadout):
    """Readout mean: a sum over the steps so far, divided by their number."""

    def __init__(self, output_size: int) -> None:
        self.initial = {"sum": torch.zeros(output_size, dtype=torch.float64)}

    def run(
        self, outputs: Tensor, lengths: Tensor, counts: Tensor, carried: Mapping[str, Tensor]
    ) -> tuple[Tensor, Carried]:
        """Return the means."""
        sums = _running_sums(outputs.double(), carried["sum"])
        numbers = counts[:, None] + torch.arange(1, outputs.shape[1] + 1)
        means = (sums / numbers[:, :, None]).to(outputs.dtype)
        return means, {"sum": at_last(sums, lengths)}


class RunningMax(RunningReadout):
    """Readout max: the largest outputs of the steps so far."""

    def __init__(self, output_size: int) -> None:
        self.initial = {"max": torch.full((output_size,), -torch.inf)}

    def run(
        self, outputs: Tensor, lengths: Tensor, counts: Tensor, carried: Mapping[str, Tensor]
    ) -> tuple[Tensor, Carried]:
        """Return the maxima."""
        largest = torch.cat([carried["max"][:, None], outputs], dim=1).cummax(dim=1).values[:, 1:]
        return largest, {"max": at_last(largest, lengths)}


class RunningAttention(RunningReadout):
    """Readout attention: weighted sums over the steps so far.

    The scores are at most the sum of the magnitudes of the context vector, as they are its products
    with numbers from -1 to 1. So their exponentials need no subtraction of the largest score, which
    may still change.

    Raises
    ------
    ConfigError
        If the exponential of a score could exceed float64.
    """

    def __init__(self, pooling: Attention) -> None:
        bound = float(pooling.context.weight.double().abs().sum())
        if not bound <= _LARGEST_EXPONENT:
            raise ConfigError(
                f"the weights of readout attention allow scores up to {bound:g}; expected at most "
                f"{_LARGEST_EXPONENT:g}, so that sums of their exponentials are finite. Train with "
                "--set readout=mean."
            )
        self._pooling = pooling
        self.initial = {
            "weight": torch.zeros(1, dtype=torch.float64),
            "weighted": torch.zeros(pooling.features_size, dtype=torch.float64),
        }

    def run(
        self, outputs: Tensor, lengths: Tensor, counts: Tensor, carried: Mapping[str, Tensor]
    ) -> tuple[Tensor, Carried]:
        """Return the weighted means."""
        project, context = self._pooling.project, self._pooling.context
        hidden = torch.tanh(rowwise_linear(outputs, project.weight, project.bias))
        weights = rowwise_linear(hidden, context.weight).double().exp()  # (batch, time, 1)
        total = _running_sums(weights, carried["weight"])
        weighted = _running_sums(weights * outputs, carried["weighted"])
        means = (weighted / total).to(outputs.dtype)
        return means, {"weight": at_last(total, lengths), "weighted": at_last(weighted, lengths)}


class RunningCombined(RunningReadout):
    """The features of several readouts, concatenated."""

    def __init__(self, parts: Mapping[str, RunningReadout]) -> None:
        self._parts = dict(parts)
        self.initial = {
            full: row
            for name, part in parts.items()
            for full, row in named(name, part.initial).items()
        }

    def run(
        self, outputs: Tensor, lengths: Tensor, counts: Tensor, carried: Mapping[str, Tensor]
    ) -> tuple[Tensor, Carried]:
        """Return the features of all readouts."""
        features: list[Tensor] = []
        after: Carried = {}
        for name, part in self._parts.items():
            found, own = part.run(outputs, lengths, counts, of_prefix(name, carried))
            features.append(found)
            after |= named(name, own)
        return torch.cat(features, dim=-1), after


def running_readout(pooling: Pooling, output_size: int) -> RunningReadout:
    """Return the running form of a readout of a network that reads forward only.

    Raises
    ------
    ConfigError
        See `RunningAttention`.
    """
    if isinstance(pooling, Combined):
        parts = zip(pooling.parts, pooling.poolings, strict=True)
        return RunningCombined({name: running_readout(part, output_size) for name, part in parts})
    if isinstance(pooling, Attention):
        return RunningAttention(pooling)
    if isinstance(pooling, Mean):
        return RunningMean(output_size)
    return RunningMax(output_size) if isinstance(pooling, Max) else RunningOutputs()


def _running_sums(terms: Tensor, before: Tensor) -> Tensor:
    """Return the sums up to each step, (batch, time, size), of float64 terms and earlier sums."""
    return torch.cat([before[:, None], terms], dim=1).cumsum(dim=1)[:, 1:]
