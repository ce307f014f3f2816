"""Temperature scaling: calibrated probabilities."""

from typing import Literal

from torch import Tensor

_SMALLEST, _LARGEST = 0.1, 10.0
_HALVINGS = 60


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature T that minimizes the log loss of softmax(logits / T).

    The loss is convex in 1 / T, so its derivative is bisected. T is limited to 0.1 to 10: if a few
    sequences are all correct, the minimum is at T = 0, which so few do not justify.

    Parameters
    ----------
    logits : Tensor (count, num_classes)
        Of held-out data.
    labels : int64 Tensor (count,)

    References
    ----------
    Guo et al. 2017, "On calibration of modern neural networks", section 4.2.

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([[2.0, 0.0]] * 4)
    >>> round(fit_temperature(logits, torch.tensor([0, 0, 0, 1])), 3)  # 2 / log(3)
    1.82
    """
    logits = logits.double()
    of_label = logits.gather(1, labels[:, None])[:, 0]

    def slope(inverse: float) -> float:
        expected = ((inverse * logits).softmax(dim=1) * logits).sum(dim=1)
        return float((expected - of_label).mean())

    low, high = 1 / _LARGEST, 1 / _SMALLEST
    if slope(low) > 0:
        return _LARGEST
    if slope(high) <= 0:
        return _SMALLEST
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return float((low * high) ** -0.5)


def bound_of(temperature: float) -> Literal["least", "most"] | None:
    """Return whether a temperature is a limit of `fit_temperature`: the least, the most or neither.

    >>> bound_of(0.1), bound_of(1.82), bound_of(10.0)
    ('least', None, 'most')
    """
    if _SMALLEST < temperature < _LARGEST:
        return None
    return "least" if temperature <= _SMALLEST else "most"
