"""The simulation of a cluster: known cases, and what holds for all."""

from dataclasses import replace

import numpy as np
import pytest
from cluster_simulation import HOUR, NEVER, Cluster, Work, effects_table, simulate, sizes_table

PERFECT = Cluster(nodes=2, cores=3, hours_between_failures=NEVER, slow_fraction=0.0)
SHAKY = replace(PERFECT, hours_between_failures=0.05, replacement_seconds=20.0)


def test_equal_parts_without_failures_take_the_ideal_time():
    found = simulate(PERFECT, np.full(60, 7.0), seed=0)
    assert found.hours * HOUR == pytest.approx(60 * 7 / 6)
    assert (found.useful, found.failures, found.repeated) == (pytest.approx(1), 0, 0)


def test_slow_nodes_take_longer():
    slow = replace(PERFECT, slow_fraction=1.0, slow_factor=3.0)
    assert simulate(slow, np.full(60, 7.0), seed=0).hours * HOUR == pytest.approx(3 * 60 * 7 / 6)


def test_the_work_that_is_kept_does_not_depend_on_failures(seed):
    seconds = np.random.default_rng(seed).lognormal(2, 1, 500)
    found = simulate(SHAKY, seconds, seed)
    assert found.useful * found.core_hours * HOUR == pytest.approx(seconds.sum())
    assert found.failures > 0
    assert found.hours > simulate(PERFECT, seconds, seed).hours


def test_a_failure_loses_at_most_a_part_of_each_core(seed):
    found = simulate(SHAKY, np.full(300, 15.0), seed)
    assert 0 < found.repeated <= found.failures * SHAKY.cores


def test_on_one_core_the_time_is_work_losses_and_replacements(seed):
    alone = replace(SHAKY, nodes=1, cores=1)
    found = simulate(alone, np.full(100, 10.0), seed)
    lost = found.hours * HOUR - 1000 - found.failures * alone.replacement_seconds
    assert -1e-6 <= lost <= found.repeated * 10


def test_all_sequences_are_in_parts_and_the_mean_length_is_kept(seed):
    work = Work(steps_per_second=1e5, sequences=10**7 - 1, part_seconds=0.0)
    seconds = work.seconds(1000, seed)
    assert len(seconds) == 10**4
    assert seconds.mean() == pytest.approx(1000 * work.mean_steps / 1e5, rel=0.05)
    first = replace(work, longest_first=True).seconds(1000, seed)
    assert (np.diff(first) <= 0).all()
    assert sorted(first) == sorted(seconds)


def test_the_tables_have_a_row_for_each_size_and_assumption():
    small = Work(steps_per_second=1e6, sequences=10**7)
    assert sizes_table(PERFECT, small).count("\n| 1,000,000 | 10 | 3.3 |") == 1
    assert effects_table(PERFECT, small).count("\n") == 8
