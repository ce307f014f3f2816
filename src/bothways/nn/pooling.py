"""Pooling: from the outputs of the recurrent layers to one feature vector, or one per time step.

Each readout of `ModelConfig` is a module here, and `Combined` concatenates several. Shapes:
`outputs` (batch, time, output_size), zero at and past each length; `h_n` (num_directions, batch,
hidden_size), the final states of the top layer.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bothways.config import ModelConfig
from bothways.errors import ShapeError, counted
from bothways.kernels.lengths import Lengths
from bothways.kernels.torch_internals import is_traced


class Pooling(nn.Module, ABC):
    """Base class of the readouts.

    Of several directions, the features of the forward one come first; with readout flatten, at each
    time step.

    Parameters
    ----------
    config : ModelConfig
    output_size : int
        Features of the outputs at one time step.

    Attributes
    ----------
    summary : str
        What the readout returns, for the model card.
    reads_last_step_only : bool
        Whether the readout needs only the outputs at the last step of each row, which the layers
        can compute in less time: see `RecurrentLayers.last_outputs`.
    features_size : int
        Number of features that `forward` returns.
    """

    summary: ClassVar[str]
    reads_last_step_only: ClassVar[bool] = False

    def __init__(self, config: ModelConfig, output_size: int) -> None:
        super().__init__()
        self.features_size = output_size

    @abstractmethod
    def forward(self, outputs: Tensor, h_n: Tensor, lengths: Lengths) -> Tensor:
        """Return features (batch, features_size); for `Step` (batch, time, features_size)."""


class Last(Pooling):
    """The outputs at the last step of each row.

    At that step, the backward direction of the top layer has made one step only. Many
    tutorials do this, and this readout reproduces them. `Final` uses both directions fully.
    """

    summary = "the outputs at the last step"
    reads_last_step_only = True

    def forward(self, outputs: Tensor, h_n: Tensor, lengths: Lengths) -> Tensor:
        """Return `outputs[b, lengths[b] - 1]`."""
        last = lengths.values.to(outputs.device) - 1
        return outputs[torch.arange(outputs.shape[0], device=outputs.device), last]


class Final(Pooling):
    """The last state of each direction: forward at the last step, backward at step 0."""

    summary = "the last state of each direction"

    def forward(self, outputs: Tensor, h_n: Tensor, lengths: Lengths) -> Tensor:
        """Return the final states of all directions, concatenated."""
        return torch.cat(list(h_n), dim=-1)


class Flatten(Pooling):
    """The outputs of all steps, concatenated; zeros are appended to shorter rows."""

    summary = "the outputs of all steps, concatenated"

    def __init__(self, config: ModelConfig, output_size: int) -> None:
        super().__init__(config, output_size)
        assert config.sequence_length is not None  # validated by ModelConfig
        self.sequence_length = config.sequence_length
        self.features_size = config.sequence_length * output_size

    def forward(self, outputs: Tensor, h_n: Tensor, lengths: Lengths) -> Tensor:
        """Return outputs (batch, sequence_length * output_size).

        Raises
        ------
        ShapeError
            If a row is longer than `sequence_length`.
        """
        missing = self.sequence_length - outputs.shape[1]
        if missing < 0 and not is_traced():
            check_flat_lengths(lengths.values, self.sequence_length)
        if missing != 0:
            outputs = functional.pad(outputs, (0, 0, 0, missing))
        return outputs.flatten(1)

    def moved(self, features: Tensor, steps: Tensor) -> Tensor:
        """Return the features of sequences that begin later, with zeros for the steps before.

        Parameters
        ----------
        features : Tensor (batch, features_size)
        steps : int64 Tensor (batch,)
            How many steps later.
        """
        outputs = features.unflatten(1, (self.sequence_length, -1))
        source = torch.arange(self.sequence_length) - steps[:, None]  # (batch, sequence_length)
        found = outputs.take_along_dim(source.clamp(min=0)[..., None], dim=1)
        moved: Tensor = found.masked_fill(source[..., None] < 0, 0.0).flatten(1)
        return moved


def check_flat_lengths(lengths: Tensor, sequence_length: int) -> None:
    """Raise ShapeError if a row is too long for readout `flatten`.

    Parameters
    ----------
    lengths : int64 Tensor (batch,)
    sequence_length : int
    """
    too_long = lengths > sequence_length
    if bool(too_long.any()):
        row = int(too_long.nonzero()[0])
        raise ShapeError(
            f"lengths[{row}] is {int(lengths[row])} but readout 'flatten' was built "
            f"for {counted(sequence_length, 'step')}; expected at most that. Cut the sequence, "
            "or train with readout 'final'."
        )


class Mean(Pooling):
    """The mean of the outputs over the valid time steps."""

    summary = "the mean over all steps"

    def forward(self, outputs: Tensor, h_n: Tensor, lengths: Lengths) -> Tensor:
        """Return the mean, (batch, output_size)."""
        return outputs.sum(dim=1) / lengths.values.to(outputs)[:, None]


class Max(Pooling):
    """The maximum of each output over the valid time steps."""

    summary = "the maximum over all steps"

    def forward(self, outputs: Tensor, h_n: Tensor, lengths: Lengths) -> Tensor:
        """Return the maximum, (batch, output_size)."""
        padding = ~lengths.is_valid(outputs.device)[:, :, None]
        return outputs.masked_fill(padding, -torch.inf).amax(dim=1)


class Attention(Pooling):
    """A weighted mean over the valid time steps, with learned weights.

    References
    ----------
    Yang et al. 2016, "Hierarchical attention networks", equations 5 to 7: softmax over time of
    u · tanh(W h + b).
    """

    summary = "a mean over all steps with learned weights"

    def __init__(self, config: ModelConfig, output_size: int) -> None:
        super().__init__(config, output_size)
        self.project = nn.Linear(output_size, output_size, dtype=torch.float32)
        self.context = nn.Linear(output_size, 1, bias=False, dtype=torch.float32)

    def forward(self, outputs: Tensor, h_n: Tensor, lengths: Lengths) -> Tensor:
        """Return the weighted mean, (batch, output_size)."""
        padding = ~lengths.is_valid(outputs.device)[:, :, None]
        scores = self.context(torch.tanh(self.project(outputs)))  # (batch, time, 1)
        weights: Tensor = scores.masked_fill(padding, -torch.inf).softmax(dim=1)
        return (weights * outputs).sum(dim=1)


class Step(Pooling):
    """The outputs at every time step, for one label per time step."""

    summary = "the outputs at each step, for a label each"

    def forward(self, outputs: Tensor, h_n: Tensor, lengths: Lengths) -> Tensor:
        """Return outputs (batch, time, output_size)."""
        return outputs


class Combined(Pooling):
    """The features of several readouts, concatenated."""

    summary = "several readouts, concatenated"

    def __init__(self, config: ModelConfig, output_size: int) -> None:
        super().__init__(config, output_size)
        self.parts = nn.ModuleDict(
            {name: POOLINGS[name](config, output_size) for name in config.readouts}
        )
        self.features_size = sum(part.features_size for part in self.poolings)

    @property
    def poolings(self) -> list[Pooling]:
        """The readouts in their order."""
        return [cast(Pooling, part) for part in self.parts.values()]

    def forward(self, outputs: Tensor, h_n: Tensor, lengths: Lengths) -> Tensor:
        """Return the features of all readouts, (batch, features_size)."""
        return torch.cat([part(outputs, h_n, lengths) for part in self.poolings], dim=-1)


POOLINGS: dict[str, type[Pooling]] = {
    "last": Last,
    "final": Final,
    "flatten": Flatten,
    "mean": Mean,
    "max": Max,
    "attention": Attention,
    "step": Step,
}
"""The class of each name in `bothways.config.READOUTS`."""


def make_pooling(config: ModelConfig, output_size: int) -> Pooling:
    """Return the readout, or the combined readouts, of `config`; parameters as in `Pooling`."""
    chosen = Combined if len(config.readouts) > 1 else POOLINGS[config.readout]
    return chosen(config, output_size)
