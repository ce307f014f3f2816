"""Random sequences on which an exported file is compared with its model."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bothways.models.trained_model import TrainedModel

Array = np.ndarray[Any, np.dtype[Any]]

_MISSING_FRACTION = 0.2
_CONSTANT_FRACTION = 0.1
_DECADES = 3


def random_sequences(
    model: TrainedModel, lengths: Sequence[int], generator: np.random.Generator
) -> list[Array]:
    """Return sequences with values like those in training.

    Numeric features have the mean and twice the deviation of the training set or, if the model
    does not normalize, are uniform in the range of the training set. If the normalization is made
    for it, they have another level and scale in each sequence, over several decades, and some are
    constant. If the model accepts missing values, a fifth of the values is NaN. Categorical
    features include unknown categories.

    Parameters
    ----------
    model : TrainedModel
    lengths : sequence of int
        Time steps of each sequence.
    generator : numpy.random.Generator

    Returns
    -------
    list of float32 array (length, input_size)
    """
    config, encoder = model.manifest.model, model.classifier.networks[0].encoder
    low, high = model.manifest.preprocessing.training_range or (-1.0, 1.0)
    sequences = []
    for length in lengths:
        values = np.zeros((length, config.input_size), np.float32)
        shape = length, len(config.numeric_features)
        if encoder is not None and config.normalization != "none":
            center, scale = encoder.center.cpu().numpy(), encoder.scale.cpu().numpy()
            numeric = 2 * generator.standard_normal(shape)
            if config.normalization != "dataset":
                numeric = _moved(numeric, generator)
            numeric = center + scale * numeric
        else:
            numeric = generator.uniform(low, high, shape)
        if config.accepts_missing:
            numeric[generator.random(shape) < _MISSING_FRACTION] = np.nan
        values[:, config.numeric_features] = numeric
        for feature, count in enumerate(config.categories):
            if count:  # 0 and count + 1 are unknown categories
                values[:, feature] = generator.integers(0, count + 2, length)
        sequences.append(values)
    return sequences


def _moved(values: Array, generator: np.random.Generator) -> Array:
    """Return the values of a sequence, (time, features), with random levels and scales."""
    count = values.shape[1]
    level, scale = 10 ** generator.uniform(-_DECADES, _DECADES, (2, count))
    level = np.where(generator.random(count) < 0.5, level, -level)
    scale = np.where(generator.random(count) < _CONSTANT_FRACTION, 0.0, scale)
    moved: Array = level + scale * values
    return moved
