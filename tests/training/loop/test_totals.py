"""The totals of an epoch."""

import math

import pytest
import torch

from bothways.config import TrainConfig
from bothways.errors import NonFiniteLossError
from bothways.training.loop.totals import BatchResults, EpochTotals

CONFIG = TrainConfig()


def add(totals, loss, hits=1, labeled=2, sequences=2):
    results = BatchResults(torch.tensor(loss), torch.tensor(hits), torch.tensor(labeled))
    totals.add(results, sequences, 0.5)


def test_results_count_when_they_are_read():
    totals = EpochTotals()
    add(totals, 2.0)
    add(totals, 0.25, hits=3, labeled=6, sequences=3)
    assert (totals.loss, totals.accuracy, totals.seen, totals.seconds) == (0, 0, 5, 1)
    assert math.isnan(totals.last_loss)
    totals.read(1, 2, CONFIG)
    assert (totals.loss, totals.correct, totals.labeled, totals.seen) == (2.25, 4, 8, 5)
    assert (totals.accuracy, totals.last_loss) == (0.5, 0.25)
    assert totals.seconds > 1
    before = totals.state()
    totals.read(1, 2, CONFIG)
    assert totals.state() == before


def test_a_state_continues_the_totals():
    totals = EpochTotals()
    add(totals, 2.0)
    totals.read(1, 1, CONFIG)
    restored = EpochTotals(**totals.state())
    for each in (totals, restored):
        add(each, 1.0)
        each.read(1, 2, CONFIG)
    facts = {"seconds": 0.0}
    assert restored.state() | facts == totals.state() | facts
    assert restored.loss == 3


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_the_error_names_the_step_and_is_raised_again(loss):
    totals = EpochTotals()
    add(totals, 1.0)
    add(totals, loss)
    add(totals, 1.0)
    for _ in range(2):
        with pytest.raises(NonFiniteLossError, match=rf"loss is {loss} in epoch 4, step 6; exp"):
            totals.read(4, 7, CONFIG)
