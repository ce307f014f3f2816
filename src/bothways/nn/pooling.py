"""From a sequence's recurrent outputs to features: one vector, by six readouts, or one a step.

Shapes: `inputs` (batch, time, input_size); `lengths` int64 (batch,); `outputs` (batch, time,
num_directions * hidden_size), zero at and past each length; features (batch, output_size).
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bothways.config import ModelConfig
from bothways.errors import ShapeError
from bothways.kernels.interface import States
from bothways.kernels.lengths import valid_steps
from bothways.nn.recurrent import RecurrentLayers


class Readout(nn.Module, ABC):
    """Runs the layers for what it needs of them and makes one feature vector, or one a step.

    Parameters
    ----------
    config : ModelConfig
    output_size : int
        Features of one step of the layers' outputs.

    Attributes
    ----------
    features_size : int
        Features that `forward` returns.
    """

    summary: ClassVar[str]

    def __init__(self, config: ModelConfig, output_size: int) -> None:
        super().__init__()
        self.features_size = output_size

    @abstractmethod
    def forward(
        self, layers: RecurrentLayers, inputs: Tensor, lengths: Tensor, initial: States | None
    ) -> Tensor:
        """Return features (batch, features_size), or (batch, time, features_size) of `Step`."""


class Last(Readout):
    """The outputs at each row's last step.

    In a bidirectional net the backward half has then read one step only. Many tutorials do this;
    it is here to reproduce them. `Final` is the right reading.
    """

    summary = "the outputs at the last step"

    def forward(
        self, layers: RecurrentLayers, inputs: Tensor, lengths: Tensor, initial: States | None
    ) -> Tensor:
        """Return `outputs[b, lengths[b] - 1]`."""
        return layers.last_outputs(inputs, initial, lengths=lengths)


class Final(Readout):
    """Each direction's own last state: forward at the last step, backward at step 0."""

    summary = "each direction's own last state"

    def forward(
        self, layers: RecurrentLayers, inputs: Tensor, lengths: Tensor, initial: States | None
    ) -> Tensor:
        """Return the top layer's final states, side by side."""
        _, (h_n, *_) = layers.outputs(inputs, initial, lengths=lengths)
        return torch.cat(list(h_n[-layers.num_directions :]), dim=-1)


class Flatten(Readout):
    """All steps side by side; shorter rows are zero-filled, longer ones refused."""

    summary = "all steps side by side"

    def __init__(self, config: ModelConfig, output_size: int) -> None:
        super().__init__(config, output_size)
        assert config.sequence_length is not None  # ModelConfig has checked
        self.sequence_length = config.sequence_length
        self.features_size = config.sequence_length * output_size

    def forward(
        self, layers: RecurrentLayers, inputs: Tensor, lengths: Tensor, initial: States | None
    ) -> Tensor:
        """Return outputs (batch, sequence_length * output_size).

        Raises
        ------
        ShapeError
            If a row is longer than `sequence_length`.
        """
        longest = int(lengths.max())
        if longest > self.sequence_length:
            raise ShapeError(
                f"lengths[{int(lengths.argmax())}] is {longest} but readout 'flatten' was built "
                f"for {self.sequence_length} steps; expected at most that. Cut the sequence, or "
                "train with readout 'final'."
            )
        outputs, _ = layers.outputs(inputs, initial, lengths=lengths)
        missing = self.sequence_length - outputs.shape[1]  # negative: padding to cut off
        if missing != 0:
            outputs = functional.pad(outputs, (0, 0, 0, missing))
        return outputs.flatten(1)


class Mean(Readout):
    """The mean of the outputs over the valid steps."""

    summary = "the mean over all steps"

    def forward(
        self, layers: RecurrentLayers, inputs: Tensor, lengths: Tensor, initial: States | None
    ) -> Tensor:
        """Return the mean, (batch, output_size)."""
        outputs, _ = layers.outputs(inputs, initial, lengths=lengths)
        return outputs.sum(dim=1) / lengths.to(outputs)[:, None]


class Max(Readout):
    """The largest value of each output over the valid steps."""

    summary = "the maximum over all steps"

    def forward(
        self, layers: RecurrentLayers, inputs: Tensor, lengths: Tensor, initial: States | None
    ) -> Tensor:
        """Return the maximum, (batch, output_size)."""
        outputs, _ = layers.outputs(inputs, initial, lengths=lengths)
        return outputs.masked_fill(~_valid(outputs, lengths), -torch.inf).amax(dim=1)


class Attention(Readout):
    """A weighted mean over the valid steps, with learnt weights.

    References
    ----------
    Yang et al. 2016, "Hierarchical attention networks", equations 5 to 7: softmax over time of
    u · tanh(W h + b).
    """

    summary = "a mean over all steps with learnt weights"

    def __init__(self, config: ModelConfig, output_size: int) -> None:
        super().__init__(config, output_size)
        self.project = nn.Linear(output_size, output_size)
        self.context = nn.Linear(output_size, 1, bias=False)

    def forward(
        self, layers: RecurrentLayers, inputs: Tensor, lengths: Tensor, initial: States | None
    ) -> Tensor:
        """Return the weighted mean, (batch, output_size)."""
        outputs, _ = layers.outputs(inputs, initial, lengths=lengths)
        scores = self.context(torch.tanh(self.project(outputs)))  # (batch, time, 1)
        scores = scores.masked_fill(~_valid(outputs, lengths), -torch.inf)
        weights: Tensor = scores.softmax(dim=1)
        return (weights * outputs).sum(dim=1)


class Step(Readout):
    """The outputs at every step, for a label each."""

    summary = "the outputs at each step, for a label each"

    def forward(
        self, layers: RecurrentLayers, inputs: Tensor, lengths: Tensor, initial: States | None
    ) -> Tensor:
        """Return outputs (batch, time, output_size)."""
        outputs, _ = layers.outputs(inputs, initial, lengths=lengths)
        return outputs


def _valid(outputs: Tensor, lengths: Tensor) -> Tensor:
    return valid_steps(lengths, outputs.shape[1], outputs.device).T[:, :, None]


READOUTS: dict[str, type[Readout]] = {
    "last": Last,
    "final": Final,
    "flatten": Flatten,
    "mean": Mean,
    "max": Max,
    "attention": Attention,
    "step": Step,
}
