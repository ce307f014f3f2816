"""From features as they were measured to what the recurrent layers read.

What it needs to know of the data, a mean and a scale for each feature, comes from the training part
alone and is kept with the weights: prediction, evaluation and export apply it alike.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from bothways.config import ModelConfig


class FeatureEncoder(nn.Module):
    """Fill what is missing, standardise amounts, in training jitter them, and look up tokens.

    Parameters
    ----------
    config : ModelConfig
        `standardize`, `input_jitter`, `missing`, `categories`, `embedding_size` and
        `token_dropout` say what is done.

    Attributes
    ----------
    mean, scale : Tensor (num_amounts,)
        Of each feature that is an amount, in training, missing values left out. A constant feature
        has scale 1. Without `standardize` they are 0 and 1, unless missing values are filled with
        the mean.
    encoded_size : int
        Features that come out: the amounts, the same number again with `missing` mask, 1 where a
        value is missing, and the tokens' vectors.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.standardize = config.standardize
        self.jitter = config.input_jitter
        self.missing = config.missing
        self.amounts = config.amounts
        self.tokens = nn.ModuleDict(
            {
                str(n): TokenEmbedding(count, config)
                for n, count in enumerate(config.categories)
                if count
            }
        )
        self.encoded_size = len(self.amounts) * (2 if config.missing == "mask" else 1) + sum(
            tokens.size for tokens in self._embeddings.values()
        )
        self.register_buffer("mean", torch.zeros(len(self.amounts)))
        self.register_buffer("scale", torch.ones(len(self.amounts)))

    @property
    def _embeddings(self) -> dict[int, "TokenEmbedding"]:
        return {int(n): cast(TokenEmbedding, tokens) for n, tokens in self.tokens.items()}

    def fit(self, chunks: Iterable[Tensor]) -> None:
        """Learn means, scales and the tokens that occur from the steps of the training part.

        Parameters
        ----------
        chunks : iterable of Tensor (steps, input_size)
            Every step once, in chunks that fit in memory.
        """
        statistics = FeatureStatistics(len(self.amounts) + len(self.tokens))
        for steps in chunks:
            statistics.update(steps)
            for feature, tokens in self._embeddings.items():
                tokens.known[steps[:, feature].long()] = True
        self.mean.copy_(statistics.mean[self.amounts])
        if self.standardize:
            self.scale.copy_(statistics.scale[self.amounts])

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
        amounts = inputs[..., self.amounts] if self.tokens else inputs
        absent = amounts.isnan() if self.missing != "refuse" else None
        if absent is not None:
            filling = torch.zeros_like(self.mean) if self.missing == "zero" else self.mean
            amounts = torch.where(absent, filling, amounts)
        if self.standardize:
            amounts = (amounts - self.mean) / self.scale
        if self.training and self.jitter:
            amounts = amounts * (1 + self.jitter * torch.randn_like(amounts[:, :1]))
            amounts = amounts + self.jitter * torch.randn_like(amounts[:, :1])
        encoded = [amounts]
        if absent is not None and self.missing == "mask":
            encoded.append(absent.to(inputs.dtype))
        encoded += [tokens(inputs[..., n]) for n, tokens in self._embeddings.items()]
        return torch.cat(encoded, dim=-1) if len(encoded) > 1 else amounts


class TokenEmbedding(nn.Module):
    """A learnt vector for each token of a feature, and one for all that are not known.

    Parameters
    ----------
    count : int
        Tokens.
    config : ModelConfig

    Attributes
    ----------
    known : bool Tensor (count + 1,)
        Which numbers occur in the sequences trained on; the others are taken for unknown.
    """

    known: Tensor

    def __init__(self, count: int, config: ModelConfig) -> None:
        super().__init__()
        self.size = min(config.embedding_size, count)
        self.token_dropout = config.token_dropout
        self.embedding = nn.Embedding(count + 1, self.size)
        self.register_buffer("known", torch.zeros(count + 1, dtype=torch.bool))

    def forward(self, numbers: Tensor) -> Tensor:
        """Return vectors (batch, time, size) of numbers (batch, time), whatever is in padding."""
        in_range = (numbers >= 0) & (numbers < len(self.known))
        tokens = numbers.masked_fill(~in_range, 0).long()
        unknown = ~self.known[tokens]
        if self.training and self.token_dropout:
            unknown |= torch.rand(tokens.shape, device=tokens.device) < self.token_dropout
        vectors: Tensor = self.embedding(tokens.masked_fill(unknown, 0))
        return vectors


class FeatureStatistics:
    """Mean and standard deviation of each feature over all time steps, ignoring NaN.

    Parameters
    ----------
    input_size : int
    """

    def __init__(self, input_size: int) -> None:
        self._count = torch.zeros(input_size, dtype=torch.float64)
        self._total, self._squares = torch.zeros_like(self._count), torch.zeros_like(self._count)
        self._shift: Tensor | None = None

    def update(self, steps: Tensor) -> None:
        """Include the time steps `steps` (steps, input_size)."""
        values = steps.double()
        if self._shift is None:  # sums of squares about a typical value keep their precision
            self._shift = values.nanmean(dim=0).nan_to_num(0.0)
        self._count += (~values.isnan()).sum(dim=0)
        values = (values - self._shift).nan_to_num(0.0)
        self._total += values.sum(dim=0)
        self._squares += values.square().sum(dim=0)

    @property
    def mean(self) -> Tensor:
        """Mean of each feature, float32 (input_size,); 0 if it is always missing."""
        shift = 0.0 if self._shift is None else self._shift
        return (self._total / self._count.clamp(min=1) + shift).float()

    @property
    def scale(self) -> Tensor:
        """Standard deviation of each feature, float32 (input_size,); 1 if it is constant."""
        count = self._count.clamp(min=1)
        variance = self._squares / count - (self._total / count).square()
        deviation = variance.clamp(min=0).sqrt()
        return torch.where(deviation > 0, deviation, 1.0).float()
