"""Preprocessing inside the model: imputation, normalization, jitter and embeddings.

The statistics are computed on the training set only and stored with the weights, so that training,
evaluation and prediction use the same ones.
"""

from typing import cast

import torch
from torch import Tensor, nn

from bothways.config import ModelConfig
from bothways.kernels.draws import DEFAULT_DRAWS, Draws
from bothways.kernels.lengths import Lengths
from bothways.nn.device import float64_device
from bothways.nn.feature_statistics import Chunks, FeatureStatistics, robust_statistics
from bothways.nn.normalization import robust_view, sequence_statistics, sequence_views


class FeatureEncoder(nn.Module):
    """Impute missing values, normalize and jitter numeric features, and embed categories.

    Parameters
    ----------
    config : ModelConfig
        Uses `normalization`, `input_jitter`, `missing`, `categories`, `embedding_size` and
        `token_dropout`.

    Attributes
    ----------
    mean or median, scale : float32 Tensor (number of numeric features,)
        Statistics of the training set, ignoring missing values: the mean and the standard
        deviation or, if `config.center_name` is median, the median and the scale of
        `robust_statistics`. The scale of a constant feature is 1. With normalization none, the
        scales are 1, and the means are used only to impute.
    encoded_size : int
        Number of output features. Their order: the numeric features, for each of the
        `config.views`; as many masks with `missing` mask; the embeddings.
    """

    mean: Tensor
    median: Tensor
    scale: Tensor
    draws: Draws = DEFAULT_DRAWS

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.normalization = config.normalization
        self.normalizes_sequences = config.normalizes_sequences
        self.views = config.views
        self.center_name = config.center_name
        self.jitter = config.input_jitter
        self.missing = config.missing
        self.numeric_features = config.numeric_features
        self.tokens = nn.ModuleDict(
            {
                str(n): CategoryEmbedding(config.categories[n], size, config.token_dropout)
                for n, size in zip(config.categorical_features, config.embedding_sizes, strict=True)
            }
        )
        self.encoded_size = config.encoded_size
        count = len(self.numeric_features)
        self.register_buffer(self.center_name, torch.zeros(count, dtype=torch.float32))
        self.register_buffer("scale", torch.ones(count, dtype=torch.float32))

    @property
    def center(self) -> Tensor:
        """The mean or the median of each numeric feature in the training set."""
        return self.get_buffer(self.center_name)

    @property
    def _embeddings(self) -> dict[int, "CategoryEmbedding"]:
        return {int(n): cast(CategoryEmbedding, layer) for n, layer in self.tokens.items()}

    def fit(self, chunks: Chunks) -> None:
        """Compute the statistics and the known categories from the training set.

        Parameters
        ----------
        chunks : callable
            Returns an iterable of Tensor (steps, input_size): every step once, in chunks that fit
            in memory. Called once or, if medians are needed, five times.
        """
        statistics = FeatureStatistics(len(self.numeric_features) + len(self.tokens))
        for steps in chunks():
            statistics.update(steps)
            for feature, embedding in self._embeddings.items():
                embedding.known[steps[:, feature].long()] = True
        center, scale = statistics.mean, statistics.scale
        if self.center_name == "median":
            center, scale = robust_statistics(chunks, statistics)
        self.center.copy_(center[self.numeric_features])
        if self.normalization != "none":
            self.scale.copy_(scale[self.numeric_features])

    def copy_statistics(self, other: "FeatureEncoder") -> None:
        """Copy what `fit` has computed in an encoder of the same configuration."""
        for own, fitted in zip(self.buffers(), other.buffers(), strict=True):
            own.copy_(fitted)

    def forward(self, inputs: Tensor, lengths: Lengths) -> Tensor:
        """Encode a batch.

        Parameters
        ----------
        inputs : Tensor (batch, time, input_size)
            NaN for missing values. The padding has no effect.
        lengths : Lengths

        Returns
        -------
        Tensor (batch, time, encoded_size)
            Meaningless in the padding.
        """
        numeric = inputs[..., self.numeric_features] if self.tokens else inputs
        absent = numeric.isnan() if self.missing != "refuse" else None
        if self.normalizes_sequences:
            numeric = self._normalized_in_sequences(numeric, absent, lengths)
        else:
            numeric = self._normalized(numeric, absent, lengths)
        if self.training and self.jitter:
            factors = 1 + self._jitter(numeric)
            if self.normalizes_sequences:
                # Levels and log scales are logarithmic: a factor of the values is a shift of them.
                factors[..., -2 * len(self.numeric_features) :] = 1
            numeric = numeric * factors
            numeric = numeric + self._jitter(numeric)
        encoded = [numeric]
        if absent is not None and self.missing == "mask":
            encoded.append(absent.to(inputs.dtype))
        encoded += [embedding(inputs[..., n]) for n, embedding in self._embeddings.items()]
        return torch.cat(encoded, dim=-1) if len(encoded) > 1 else numeric

    def _normalized(self, numeric: Tensor, absent: Tensor | None, lengths: Lengths) -> Tensor:
        """Impute and normalize values (batch, time, features) by the training set."""
        if absent is not None:
            filling = torch.zeros_like(self.center) if self.missing == "zero" else self.center
            numeric = torch.where(absent, filling, numeric)
        if self.normalization == "dataset":
            numeric = (numeric - self.center) / self.scale
        elif self.normalization == "robust":
            padding = ~lengths.is_valid(numeric.device)[:, :, None]
            numeric = numeric.masked_fill(padding, 0.0)  # the gradient of asinh(NaN) is NaN
            numeric = robust_view(numeric, self.center, self.scale)
        return numeric

    def _normalized_in_sequences(
        self, numeric: Tensor, absent: Tensor | None, lengths: Lengths
    ) -> Tensor:
        """Return all views of values (batch, time, features), side by side.

        A missing value is imputed by the mean of its own sequence, which is the median of the
        training set if the sequence has no value; with `missing` zero, by 0, which counts in the
        statistics of the sequence.
        """
        if absent is not None and self.missing == "zero":
            numeric, absent = torch.where(absent, 0.0, numeric), None
        device = float64_device(numeric.device)
        median, scale = self.median.to(device), self.scale.to(device)
        present = lengths.is_valid(device)[:, :, None].expand_as(numeric)
        if absent is not None:
            present = present & ~absent.to(device)
        values = torch.where(present, numeric.to(device).double(), 0.0)
        mean, variance = sequence_statistics(values, present, median)
        values = torch.where(present, values, mean)
        views = sequence_views(values, mean, variance, median, scale, numeric.dtype)
        if "robust" in self.views:
            views["robust"] = robust_view(values, median, scale).to(numeric.dtype)
        return torch.cat([views[name] for name in self.views], dim=-1).to(numeric.device)

    def _jitter(self, numeric: Tensor) -> Tensor:
        """Draw one number for each feature of each sequence, (batch, 1, features)."""
        shape = (numeric.shape[0], 1, numeric.shape[2])
        drawn = self.draws.normal(*shape, dtype=numeric.dtype, device=numeric.device)
        return self.jitter * drawn

    def reset_buffers(self) -> None:
        """Reset the statistics: means or medians 0, scales 1."""
        self.center.zero_()
        self.scale.fill_(1.0)


class CategoryEmbedding(nn.Module):
    """A learned vector for each category of a feature, and one for unknown categories.

    Parameters
    ----------
    count : int
        Number of categories.
    size : int
        Size of the vectors.
    token_dropout : float
        Probability of replacing a category by the unknown category in training.

    Attributes
    ----------
    known : bool Tensor (count + 1,)
        Which categories occur in the training set; the others are unknown.
    """

    known: Tensor
    draws: Draws = DEFAULT_DRAWS

    def __init__(self, count: int, size: int, token_dropout: float) -> None:
        super().__init__()
        self.token_dropout = token_dropout
        self.embedding = nn.Embedding(count + 1, size, dtype=torch.float32)
        self.register_buffer("known", torch.zeros(count + 1, dtype=torch.bool))

    def forward(self, categories: Tensor) -> Tensor:
        """Return the vectors (batch, time, size) of categories (batch, time), padding included."""
        in_range = (categories >= 0) & (categories < len(self.known))
        rows = categories.masked_fill(~in_range, 0).long()
        unknown = ~self.known[rows]
        if self.training and self.token_dropout:
            drawn = self.draws.uniform(*rows.shape, device=rows.device)
            unknown |= drawn < self.token_dropout
        vectors: Tensor = self.embedding(rows.masked_fill(unknown, 0))
        return vectors

    def reset_buffers(self) -> None:
        """Reset the known categories: none is known."""
        self.known.zero_()
