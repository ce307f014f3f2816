"""From features as they were measured to what the recurrent layers read.

What it needs to know of the data, a mean and a scale for each feature, comes from the training part
alone and is kept with the weights: prediction, evaluation and export apply it alike.
"""

import torch
from torch import Tensor, nn

from bothways.config import ModelConfig
from bothways.sequences import Sequences


class FeatureEncoder(nn.Module):
    """Fill what is missing, and standardise each feature.

    Parameters
    ----------
    config : ModelConfig
        `standardize` and `missing` say what is done.

    Attributes
    ----------
    mean, scale : Tensor (input_size,)
        Of each feature in training, missing values left out. A constant feature has scale 1.
        Without `standardize` they are 0 and 1, unless missing values are filled with the mean.
    encoded_size : int
        Features that come out: twice as many with `missing` mask, which adds one for each feature
        that is 1 where the value is missing.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.standardize = config.standardize
        self.missing = config.missing
        self.encoded_size = config.input_size * (2 if config.missing == "mask" else 1)
        self.register_buffer("mean", torch.zeros(config.input_size))
        self.register_buffer("scale", torch.ones(config.input_size))

    def fit(self, sequences: Sequences) -> None:
        """Take mean and scale from the sequences to train on."""
        mean, scale = feature_statistics(sequences)
        self.mean.copy_(mean)
        if self.standardize:
            self.scale.copy_(scale)

    def forward(self, inputs: Tensor) -> Tensor:
        """Encode a batch.

        Parameters
        ----------
        inputs : Tensor (batch, time, input_size)
            NaN where a value is missing.

        Returns
        -------
        Tensor (batch, time, encoded_size)
        """
        absent = inputs.isnan() if self.missing != "refuse" else None
        if absent is not None:
            filling = torch.zeros_like(self.mean) if self.missing == "zero" else self.mean
            inputs = torch.where(absent, filling, inputs)
        if self.standardize:
            inputs = (inputs - self.mean) / self.scale
        if absent is not None and self.missing == "mask":
            inputs = torch.cat([inputs, absent.to(inputs.dtype)], dim=-1)
        return inputs


def feature_statistics(sequences: Sequences) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each feature over all steps, NaN left out.

    Returns
    -------
    mean, scale : float32 Tensor (input_size,)
        A feature that is constant, or always missing, has scale 1; one always missing, mean 0.
    """
    count = torch.zeros(sequences.input_size, dtype=torch.float64)
    total, squares = torch.zeros_like(count), torch.zeros_like(count)
    shift = None
    for steps, _, _ in sequences.chunks():
        values = steps.double()
        if shift is None:  # sums of squares about a typical value keep their precision
            shift = values.nanmean(dim=0).nan_to_num(0.0)
        present = ~values.isnan()
        values = (values - shift).nan_to_num(0.0)
        count += present.sum(dim=0)
        total += values.sum(dim=0)
        squares += values.square().sum(dim=0)
    assert shift is not None  # there is at least one step
    count = count.clamp(min=1)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
    mean = mean + shift
    return mean.float(), torch.where(deviation > 0, deviation, 1.0).float()
