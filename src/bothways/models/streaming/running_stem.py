"""The convolutions of a stem, whose outputs are computed as soon as they are final.

An output needs `kernel // 2` inputs after its own. It is final when these have come; until then, a
batch on the steps so far computes it with zeros in their place. So the outputs of each convolution
are divided into final ones, which never change, and a tail of a few that may. Only the last
`kernel - 1` final inputs of each convolution are kept.
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from bothways.kernels.lengths import valid_steps
from bothways.models.streaming.carried import Carried
from bothways.nn.rowwise import rowwise_linear
from bothways.nn.stem import ConvolutionalStem


class RunningStem:
    """The convolutions of a network, for chunks of steps.

    Parameters
    ----------
    stem : ConvolutionalStem

    Attributes
    ----------
    initial : dict of Tensor
        The last inputs of each convolution before the first step, which are zeros.
    """

    def __init__(self, stem: ConvolutionalStem) -> None:
        self._convolutions = [
            _Convolution(cast(nn.Conv1d, convolution)) for convolution in stem.convolutions
        ]
        self.initial = {
            f"{n}": torch.zeros(own.kernel - 1, own.input_size)
            for n, own in enumerate(self._convolutions)
        }

    def final_counts(self, counts: Tensor) -> Tensor:
        """Return how many outputs are final after int64 numbers of steps (batch,)."""
        for convolution in self._convolutions:
            counts = convolution.final_counts(counts)
        return counts

    def final(
        self, inputs: Tensor, lengths: Tensor, counts: Tensor, carried: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, Carried]:
        """Return the outputs that become final.

        Parameters
        ----------
        inputs : Tensor (batch, time, input_size)
            The next steps.
        lengths : int64 Tensor (batch,)
        counts : int64 Tensor (batch,)
            Numbers of earlier steps.
        carried : dict of Tensor (batch, kernel - 1, features)

        Returns
        -------
        outputs : Tensor (batch, most outputs, stem_channels)
        lengths : int64 Tensor (batch,)
            How many there are; maybe 0.
        carried : dict of Tensor (batch, kernel - 1, features)
        """
        after = {}
        for n, convolution in enumerate(self._convolutions):
            recent = carried[f"{n}"]
            series = torch.cat([recent, inputs], dim=1)
            after[f"{n}"] = _windows(series, lengths, 1, recent.shape[1], 1)[:, 0]
            before, now = map(convolution.final_counts, (counts, counts + lengths))
            inputs = convolution.run(series, counts, before, now)
            counts, lengths = before, now - before
        return inputs, lengths, after

    def tail(self, counts: Tensor, carried: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the outputs after the final ones, if the sequences ended now.

        Parameters
        ----------
        counts : int64 Tensor (batch,)
            Numbers of steps.
        carried : dict of Tensor (batch, kernel - 1, features)

        Returns
        -------
        outputs, lengths : Tensor
            As of `final`.
        """
        first = self._convolutions[0]
        inputs = carried["0"].new_zeros(len(counts), 0, first.input_size)
        lengths = torch.zeros_like(counts)
        for n, convolution in enumerate(self._convolutions):
            inputs = torch.where(valid_steps(lengths, inputs.shape[1]).T[:, :, None], inputs, 0.0)
            series = torch.cat([carried[f"{n}"], inputs], dim=1)
            final = convolution.final_counts(counts)
            ends = (counts + lengths + convolution.stride - 1) // convolution.stride
            inputs = convolution.run(series, counts, final, ends)
            counts, lengths = final, ends - final
        return inputs, lengths


class _Convolution:
    """One convolution with ReLU, as one sum for each output, so that bits do not depend on chunks.

    Parameters
    ----------
    layer : torch.nn.Conv1d
    """

    def __init__(self, layer: nn.Conv1d) -> None:
        assert layer.bias is not None
        self.input_size = layer.in_channels
        (self.kernel,), (self.stride,) = layer.kernel_size, layer.stride
        # (channels, kernel * input_size)
        self._weight = layer.weight.detach().transpose(1, 2).flatten(1)
        self._bias = layer.bias

    def final_counts(self, counts: Tensor) -> Tensor:
        """Return how many outputs have all of their inputs, of which there are `counts`."""
        return ((counts - 1 - self.kernel // 2) // self.stride + 1).clamp(min=0)

    def run(self, series: Tensor, counts: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        """Return outputs `starts` to `ends` of each row, (batch, most outputs, channels).

        Parameters
        ----------
        series : Tensor (batch, time, input_size)
            Inputs from number `counts - (kernel - 1)` on; zeros are appended.
        counts, starts, ends : int64 Tensor (batch,)
        """
        offsets = starts * self.stride - self.kernel // 2 - (counts - (self.kernel - 1))
        most = int((ends - starts).max())
        windows = _windows(series, offsets, most, self.kernel, self.stride)
        return rowwise_linear(windows.flatten(2), self._weight, self._bias).relu()


def _windows(series: Tensor, offsets: Tensor, count: int, size: int, stride: int) -> Tensor:
    """Return windows (batch, count, size, features) of a series (batch, time, features).

    The first window of a row starts at its offset. Zeros follow the series.
    """
    time = series.shape[1]
    within = torch.arange(count)[:, None] * stride + torch.arange(size)
    places = (offsets[:, None, None] + within).clamp(max=time)  # (batch, count, size)
    padded = torch.cat([series, series.new_zeros(len(series), 1, series.shape[2])], dim=1)
    return padded[torch.arange(len(series))[:, None, None], places]
