"""Convolutions before the recurrent layers, which shorten long sequences."""

import itertools

import torch
from torch import Tensor, nn

from bothways.config import ModelConfig
from bothways.kernels.lengths import Lengths

LARGEST_FACTOR = 30.0
"""Limit of the factors in `ConvolutionalStem.start_with_differences`."""


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
            convolved, lengths = self._convolve(convolution, steps, lengths)
            steps = torch.relu(convolved)
        return steps.transpose(1, 2), lengths

    @torch.no_grad()
    def start_with_differences(self, inputs: Tensor, lengths: Lengths) -> None:
        """Let half of the first convolution's channels start as differences, if values vary slowly.

        The initial weights of each feature are shifted so that they sum to 0 over time: these
        channels respond to changes only. Then each is scaled so that its deviation over a batch is
        the mean deviation of the other channels, by a factor of at most `LARGEST_FACTOR`. Where
        values vary slowly, a short event is hard to see in the values, but not in their changes.

        Nothing changes if the shift of all channels, not only of half of them, would leave half of
        their deviation or more (in the root mean square), as in white noise, or if the kernel size
        is 1.

        Parameters
        ----------
        inputs : Tensor (batch, time, input_size)
        lengths : Lengths

        References
        ----------
        Tan et al. 2022, "MultiRocket: multiple pooling operators and transformations for fast and
        effective time series classification", computes features of a series and of its first
        differences. Mishkin & Matas 2016, "All you need is a good init", scales the initial weights
        by the deviations over a batch.
        """
        first = self.convolutions[0]
        assert isinstance(first, nn.Conv1d)
        if first.kernel_size == (1,):
            return
        half = first.out_channels // 2
        drawn, values = first.weight.clone(), self._deviations(first, inputs, lengths)
        first.weight -= first.weight.mean(dim=2, keepdim=True)
        changes = self._deviations(first, inputs, lengths)
        if changes.norm() < values.norm() / 2:
            factors = (values[half:].mean() / changes[:half]).clamp(max=LARGEST_FACTOR)
            first.weight[:half] *= factors[:, None, None]
            first.weight[half:] = drawn[half:]
        else:
            first.weight.copy_(drawn)

    def _deviations(self, convolution: nn.Module, inputs: Tensor, lengths: Lengths) -> Tensor:
        """Return the deviation of each channel over the outputs of a batch, (channels,)."""
        convolved, lengths = self._convolve(convolution, inputs.transpose(1, 2), lengths)
        valid = lengths.is_valid(convolved.device)
        return convolved.transpose(1, 2)[valid].std(dim=0, correction=0)

    def _convolve(
        self, convolution: nn.Module, steps: Tensor, lengths: Lengths
    ) -> tuple[Tensor, Lengths]:
        """Convolve steps (batch, features, time) whose padding may have any value."""
        valid = lengths.is_valid(steps.device)[:, None]
        convolved: Tensor = convolution(torch.where(valid, steps, 0.0))
        return convolved, lengths.after_stride(self.stride, convolved.shape[2])
