"""Preprocessing inside the model: imputation, standardization, jitter and embeddings.

The statistics are computed on the training part only and stored with the weights, so that training,
evaluation and prediction use the same ones.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from bothways.config import ModelConfig


class FeatureEncoder(nn.Module):
    """Impute missing values, standardize and jitter numeric features, and embed categories.

    Parameters
    ----------
    config : ModelConfig
        Uses `standardize`, `input_jitter`, `missing`, `categories`, `embedding_size` and
        `token_dropout`.

    Attributes
    ----------
    mean, scale : float32 Tensor (number of numeric features,)
        Statistics of the training part, ignoring missing values. The scale of a constant feature is
        1. Without `standardize` the scales are 1, and the means are used only to impute.
    encoded_size : int
        Number of output features: the numeric features, as many masks with `missing` mask, and the
        embeddings.
    """

    mean: Tensor
    scale: Tensor
    generator: torch.Generator | None = None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.standardize = config.standardize
        self.jitter = config.input_jitter
        self.missing = config.missing
        self.numeric_features = config.numeric_features
        self.tokens = nn.ModuleDict(
            {
                str(n): TokenEmbedding(count, config)
                for n, count in enumerate(config.categories)
                if count
            }
        )
        self.encoded_size = len(self.numeric_features) * (
            2 if config.missing == "mask" else 1
        ) + sum(tokens.size for tokens in self._embeddings.values())
        self.register_buffer("mean", torch.zeros(len(self.numeric_features), dtype=torch.float32))
        self.register_buffer("scale", torch.ones(len(self.numeric_features), dtype=torch.float32))

    @property
    def _embeddings(self) -> dict[int, "TokenEmbedding"]:
        return {int(n): cast(TokenEmbedding, tokens) for n, tokens in self.tokens.items()}

    def fit(self, chunks: Iterable[Tensor]) -> None:
        """Compute means, scales and the known categories from the training part.

        Parameters
        ----------
        chunks : iterable of Tensor (steps, input_size)
            Every step once, in chunks that fit in memory.
        """
        statistics = FeatureStatistics(len(self.numeric_features) + len(self.tokens))
        for steps in chunks:
            statistics.update(steps)
            for feature, tokens in self._embeddings.items():
                tokens.known[steps[:, feature].long()] = True
        self.mean.copy_(statistics.mean[self.numeric_features])
        if self.standardize:
            self.scale.copy_(statistics.scale[self.numeric_features])

    def forward(self, inputs: Tensor) -> Tensor:
        """Encode a batch.

        Parameters
        ----------
        inputs : Tensor (batch, time, input_size)
            NaN for missing values.

        Returns
        -------
        Tensor (batch, time, encoded_size)
        """
        numeric = inputs[..., self.numeric_features] if self.tokens else inputs
        absent = numeric.isnan() if self.missing != "refuse" else None
        if absent is not None:
            filling = torch.zeros_like(self.mean) if self.missing == "zero" else self.mean
            numeric = torch.where(absent, filling, numeric)
        if self.standardize:
            numeric = (numeric - self.mean) / self.scale
        if self.training and self.jitter:
            numeric = numeric * (1 + self._jitter(numeric))
            numeric = numeric + self._jitter(numeric)
        encoded = [numeric]
        if absent is not None and self.missing == "mask":
            encoded.append(absent.to(inputs.dtype))
        encoded += [tokens(inputs[..., n]) for n, tokens in self._embeddings.items()]
        return torch.cat(encoded, dim=-1) if len(encoded) > 1 else numeric

    def _jitter(self, numeric: Tensor) -> Tensor:
        """Draw one number for each feature of each sequence, (batch, 1, features)."""
        shape = (numeric.shape[0], 1, numeric.shape[2])
        drawn = torch.randn(
            shape, dtype=numeric.dtype, device=numeric.device, generator=self.generator
        )
        return self.jitter * drawn

    def reset_buffers(self) -> None:
        """Reset the statistics: means 0, scales 1."""
        self.mean.zero_()
        self.scale.fill_(1.0)


class TokenEmbedding(nn.Module):
    """A learned vector for each category of a feature, and one for unknown categories.

    Parameters
    ----------
    count : int
        Number of categories.
    config : ModelConfig

    Attributes
    ----------
    known : bool Tensor (count + 1,)
        Which categories occur in the training part; the others are unknown.
    """

    known: Tensor
    generator: torch.Generator | None = None

    def __init__(self, count: int, config: ModelConfig) -> None:
        super().__init__()
        self.size = min(config.embedding_size, count)
        self.token_dropout = config.token_dropout
        self.embedding = nn.Embedding(count + 1, self.size, dtype=torch.float32)
        self.register_buffer("known", torch.zeros(count + 1, dtype=torch.bool))

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the vectors (batch, time, size) of categories (batch, time), padding included."""
        in_range = (numbers >= 0) & (numbers < len(self.known))
        tokens = numbers.masked_fill(~in_range, 0).long()
        unknown = ~self.known[tokens]
        if self.training and self.token_dropout:
            unknown |= (
                torch.rand(tokens.shape, dtype=torch.float32, device=tokens.device)
                < self.token_dropout
            )
        vectors: Tensor = self.embedding(tokens.masked_fill(unknown, 0))
        return vectors

    def reset_buffers(self) -> None:
        """Reset the known categories: none is known."""
        self.known.zero_()


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
