"""Convolutions before the recurrent layers, which shorten long sequences."""

import itertools

import torch
from torch import Tensor, nn

from bothways.config import ModelConfig
from bothways.kernels.lengths import Lengths


class ConvolutionalStem(nn.Module):
    """Strided convolutions over time with ReLU, exact for ragged batches.

    The padding of a row is set to zero before each convolution, so that its outputs are the same as
    for the row alone.

    Parameters
    ----------
    config : ModelConfig
        `stem_channels`, `stem_kernel`, `stem_stride` and `stem_layers`.
    input_size : int

    References
    ----------
    Ordóñez & Roggen 2016, "Deep convolutional and LSTM recurrent neural networks for multimodal
    wearable activity recognition" (DeepConvLSTM), there without strides.
    """

    def __init__(self, config: ModelConfig, input_size: int) -> None:
        super().__init__()
        assert config.stem_channels is not None  # otherwise the model has no stem
        sizes = [input_size] + [config.stem_channels] * config.stem_layers
        self.stride = config.stem_stride
        self.convolutions = nn.ModuleList(
            nn.Conv1d(
                before,
                after,
                config.stem_kernel,
                stride=config.stem_stride,
                padding=config.stem_kernel // 2,
                dtype=torch.float32,
            )
            for before, after in itertools.pairwise(sizes)
        )

    def forward(self, inputs: Tensor, lengths: Lengths) -> tuple[Tensor, Lengths]:
        """Run the convolutions.

        Parameters
        ----------
        inputs : Tensor (batch, time, input_size)
            Steps at or past `lengths` never affect any result; they may be NaN.
        lengths : Lengths

        Returns
        -------
        outputs : Tensor (batch, shorter time, stem_channels)
        lengths : Lengths
            Divided by the stride for each convolution, rounded up.
        """
        steps = inputs.transpose(1, 2)  # (batch, features, time)
        for convolution in self.convolutions:
            valid = lengths.is_valid(steps.device)[:, None]
            steps = torch.relu(convolution(torch.where(valid, steps, 0.0)))
            lengths = lengths.after_stride(self.stride, steps.shape[2])
        return steps.transpose(1, 2), lengths
