"""The difference of two selections, and a test of it."""

import math
from dataclasses import dataclass

import numpy as np

from bothways.model_selection.selection import Selection
from bothways.optional import require

_ROUNDING = 1e-12  # of accuracies; real differences are larger


@dataclass(frozen=True)
class Difference:
    """The difference in accuracy of two selections, `first` minus `second`.

    Parameters
    ----------
    first, second : Selection
    mean : float
        Of the differences in the rounds.
    low, high : float, optional
        95 % confidence interval; None if the difference is the same in all rounds, since its
        spread is then unknown.
    p_value : float, optional
        Two-sided; None as for the interval.
    """

    first: Selection
    second: Selection
    mean: float
    low: float | None
    high: float | None
    p_value: float | None

    @property
    def significant(self) -> bool:
        """Whether the p-value is below 5 %."""
        return self.p_value is not None and self.p_value < 0.05


def paired_difference(first: Selection, second: Selection, ratio: float) -> Difference:
    """Compare two selections with the corrected resampled t-test.

    Parameters
    ----------
    first, second : Selection
        With accuracies of the same rounds, at least two.
    ratio : float
        Number of evaluated sequences divided by the number of training sequences. The correction
        accounts for the overlap of the training sets.

    References
    ----------
    Nadeau & Bengio 2003, "Inference for the generalization error", equation 8.
    """
    special = require("scipy.special", extra="sklearn", purpose="paired comparisons")
    differences = np.subtract(first.accuracies, second.accuracies)
    mean, count = float(differences.mean()), len(differences)
    if np.ptp(differences) < _ROUNDING:
        return Difference(first, second, mean, None, None, None)
    error = math.sqrt((1 / count + ratio) * float(differences.var(ddof=1)))
    reach = float(special.stdtrit(count - 1, 0.975)) * error
    p_value = 2 * float(special.stdtr(count - 1, -abs(mean) / error))
    return Difference(first, second, mean, max(mean - reach, -1), min(mean + reach, 1), p_value)
