"""Convolutions before the recurrent layers, which make long sequences short."""

import itertools

import torch
from torch import Tensor, nn

from bothways.config import ModelConfig
from bothways.kernels.lengths import valid_steps


class ConvolutionalStem(nn.Module):
    """Strided convolutions over time, each followed by ReLU, on ragged rows.

    Whatever lies at or past a row's length is set to zero before each convolution, as its own
    padding is: a row's outputs are those it has alone.

    Parameters
    ----------
    config : ModelConfig
        `stem_channels`, `stem_kernel`, `stem_stride` and `stem_layers`.
    input_size : int
        Features that come in.

    References
    ----------
    Ordóñez & Roggen 2016, "Deep convolutional and LSTM recurrent neural networks for multimodal
    wearable activity recognition" (DeepConvLSTM), there without strides.
    """

    def __init__(self, config: ModelConfig, input_size: int) -> None:
        super().__init__()
        assert config.stem_channels is not None  # whoever builds a stem has asked for one
        sizes = [input_size] + [config.stem_channels] * config.stem_layers
        self.stride = config.stem_stride
        self.convolutions = nn.ModuleList(
            nn.Conv1d(
                before,
                after,
                config.stem_kernel,
                stride=config.stem_stride,
                padding=config.stem_kernel // 2,
            )
            for before, after in itertools.pairwise(sizes)
        )

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Run the stem.

        Parameters
        ----------
        inputs : Tensor (batch, time, input_size)
            Steps at or past `lengths` never affect any result; they may hold NaN.
        lengths : int64 Tensor (batch,), 1 <= lengths <= time

        Returns
        -------
        outputs : Tensor (batch, shorter time, stem_channels)
        lengths : int64 Tensor (batch,)
            Divided by the stride once for each convolution, rounded up: at least 1.
        """
        steps = inputs.transpose(1, 2)  # (batch, features, time)
        for convolution in self.convolutions:
            valid = valid_steps(lengths, steps.shape[2], steps.device).T[:, None]
            steps = torch.relu(convolution(torch.where(valid, steps, 0.0)))
            lengths = (lengths + self.stride - 1) // self.stride
        return steps.transpose(1, 2), lengths
