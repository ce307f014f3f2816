import math

import numpy as np
import pytest

from bothways.model_selection.paired import paired_difference
from bothways.model_selection.selection import Selection


def selection(*accuracies):
    return Selection("some", 1, list(accuracies), 0.0)


def test_corrected_paired_t_test():
    difference = paired_difference(
        selection(0.9, 0.8, 0.85), selection(0.7, 0.75, 0.7), ratio=1 / 3
    )
    d = np.array([0.2, 0.05, 0.15])
    error = math.sqrt((1 / 3 + 1 / 3) * d.var(ddof=1))
    t = d.mean() / error
    # Student's t with 2 degrees of freedom has a closed form.
    assert difference.p_value == pytest.approx(1 - t / math.sqrt(2 + t * t))
    assert difference.mean == pytest.approx(d.mean())
    quantile = 0.95 / math.sqrt(2 * 0.975 * 0.025)
    assert difference.low == pytest.approx(d.mean() - quantile * error)
    assert difference.high == pytest.approx(d.mean() + quantile * error)
    assert not difference.significant


def test_an_interval_of_accuracies_ends_at_one():
    difference = paired_difference(selection(0.9, 0.5), selection(0.4, 0.4), ratio=1 / 3)
    assert (difference.low, difference.high) == (-1, 1)


def test_without_spread_there_is_no_test():
    same = paired_difference(selection(0.5, 0.5), selection(0.5, 0.5), 0.3)
    assert (same.mean, same.low, same.high, same.p_value) == (0, None, None, None)
    # In floating point, 0.9 - 0.6 is not 0.8 - 0.5.
    always = paired_difference(selection(0.9, 0.8), selection(0.6, 0.5), 0.3)
    assert always.mean == pytest.approx(0.3)
    assert (always.low, always.high, always.p_value) == (None, None, None)
    assert not always.significant
