"""Validate class weights and sample weights."""

from collections.abc import Mapping
from numbers import Number
from typing import Any, Literal

import numpy as np
import torch
from sklearn.utils import check_array

from bothways.errors import ConfigError, ShapeError, suggest
from bothways.sklearn.arrays import Array


def class_weights(class_weight: Any, classes: Array) -> Literal["balanced"] | tuple[float, ...]:
    """Return the weight of each class; 1 if a dict does not contain it.

    Raises
    ------
    ConfigError
        If `class_weight` is neither "balanced" nor a dict of weights of `classes`.
    """
    if class_weight == "balanced":
        return "balanced"
    if not isinstance(class_weight, Mapping):
        raise ConfigError(
            f"class_weight is {class_weight!r}; expected None, 'balanced' or a dict of classes. "
            "Correct it."
        )
    unknown = [name for name in class_weight if name not in classes]
    if unknown or not all(weight >= 0 for weight in class_weight.values()):
        names = [str(name) for name in classes]
        what, rule = f"is {dict(class_weight)}", "expected a weight of 0 or more for some of"
        if unknown:
            what, rule = f"names {unknown[0]!r}", suggest(str(unknown[0]), names, rule)
        raise ConfigError(f"class_weight {what}; {rule} {', '.join(names)}. Correct it.")
    return tuple(float(class_weight.get(name, 1)) for name in classes)


def sample_weights(sample_weight: Any, count: int) -> torch.Tensor | None:
    """Return float32 weights (count,) with mean 1, or None if `sample_weight` is None.

    Raises
    ------
    ShapeError
        If there is not one weight for each sequence.
    ConfigError
        If a weight is negative, or all are 0.
    """
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Number):
        sample_weight = np.full(count, sample_weight)
    weights = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weights.shape != (count,):
        raise ShapeError(
            f"sample_weight has shape {weights.shape}; expected ({count},). Sample weights "
            "must be 1D array or scalar: pass one for each sequence."
        )
    if not weights.any():
        raise ConfigError(
            "sample_weight is 0 for all sequences; expected a positive number for some. "
            "Sample weights must contain at least one non-zero number."
        )
    if (weights < 0).any():
        raise ConfigError(
            f"sample_weight[{int((weights < 0).argmax())}] is {weights.min()}; expected 0 or "
            "more. Negative values in data passed to sample_weight have no meaning."
        )
    return torch.from_numpy((weights / weights.mean()).astype(np.float32))
