from dataclasses import replace

import numpy as np
import pytest
import torch
from selection_simulation import CASES, Simulation, both_others, same_figures

from bothways import Dataset, Sequences
from bothways.data.batching import IGNORED
from bothways.data.splitting import hold_out
from bothways.errors import DataError
from bothways.model_selection.selection import halves_of, select

REPETITIONS = 400


@pytest.mark.parametrize("case", CASES)
def test_the_best_of_equal_candidates_gains_nothing(case):
    simulation = Simulation(CASES[case])
    gains, p_values = simulation.differences(both_others, REPETITIONS)
    error = gains.std() / REPETITIONS**0.5
    assert abs(gains.mean()) < 4 * error
    for level in (0.05, 0.2):  # the test may be cautious, but not bold
        assert (p_values < level).mean() < level + 3 * (level / REPETITIONS) ** 0.5
    naive, _ = Simulation(CASES[case]).differences(same_figures, REPETITIONS)
    assert naive.mean() > 10 * error


def test_p_values_are_uniform_where_the_correction_of_the_test_is_exact():
    """Overlapping rounds then depend on one another by as much as the correction assumes."""
    case = CASES["sequences suit candidates"]
    _, p_values = Simulation(case).differences(both_others, REPETITIONS)
    gains, naive = Simulation(case).differences(same_figures, REPETITIONS)
    for level in (0.05, 0.2, 0.5):
        error = (level * (1 - level) / REPETITIONS) ** 0.5
        assert abs((p_values < level).mean() - level) < 4 * error
    wins = (naive < 0.05) & (gains > 0)
    assert wins.mean() > 3 * 0.025  # a test of the same figures finds winners where there are none


def test_what_the_selection_seems_to_gain_is_reported():
    hits, _ = Simulation(CASES["all of these"]).hits()
    halves = Simulation(CASES["all of these"]).halves
    found = select(hits, halves)
    means = {name: np.mean([hit.mean() for hit in rounds]) for name, rounds in hits.items()}
    assert found.name == max(means, key=means.get)
    assert found.optimism == pytest.approx(means[found.name] - np.mean(found.accuracies))
    assert found.optimism > 0


def test_a_single_candidate_and_a_clear_winner_are_measured_as_they_are():
    hits, _ = Simulation(CASES["all noise"], candidates=2).hits()
    halves = Simulation(CASES["all noise"]).halves
    own = [hit.mean() for hit in hits["1"]]
    alone = select({"1": hits["1"]}, halves)
    assert (alone.accuracies, alone.optimism, alone.candidates) == (pytest.approx(own), 0, 1)
    wrong = [np.zeros_like(hit) for hit in hits["1"]]
    both = select({"wrong": wrong, "1": hits["1"]}, halves)
    assert both.accuracies == pytest.approx(own)
    assert both.name == "1"


def test_each_half_of_a_round_is_measured_with_what_the_others_select():
    """Compare with loops."""
    simulation = Simulation(CASES["all noise"], candidates=4, rounds=3, count=40)
    hits, _ = simulation.hits()
    halves = simulation.halves
    expected = []
    for number, half in enumerate(halves):
        right = 0
        for side in (0, 1):
            others = [n for n in range(3) if n != number]
            elsewhere = {
                name: sum(rounds[n][halves[n] == 1 - side].sum() for n in others)
                for name, rounds in hits.items()
            }
            selected = max(elsewhere, key=elsewhere.get)
            right += hits[selected][number][half == side].sum()
        expected.append(right / len(half))
    assert select(hits, halves).accuracies == pytest.approx(expected)


@pytest.mark.parametrize("target", ["sequence", "step"])
def test_halves_do_not_divide_groups(target):
    lengths = np.arange(40) % 3 + 1
    sequences = Sequences.from_arrays([np.zeros((length, 1)) for length in lengths])
    if target == "sequence":
        sequences = sequences.with_labels(np.arange(40) // 5 % 2)
    else:
        own = [np.full(length, n // 5 % 2) for n, length in enumerate(lengths)]
        own[1][0] = IGNORED
        sequences = sequences.with_step_labels(own)
    groups = np.arange(40) // 5
    dataset = Dataset(
        "people", replace(sequences, groups=torch.from_numpy(groups)), None, ("a", "b")
    )
    held_out = [hold_out(dataset, 0.25, seed)[1] for seed in range(6)]
    halves = halves_of(dataset, held_out, 6)
    half_of_group = {}
    for part, half in zip(held_out, halves, strict=True):
        labels = part.flat_labels().numpy()
        of_labels = part.groups.numpy()
        if target == "step":
            of_labels = of_labels.repeat(part.lengths.numpy())
        of_labels = of_labels[labels != IGNORED]
        assert len(half) == len(of_labels)
        for group, number in zip(of_labels.tolist(), half.tolist(), strict=True):
            assert half_of_group.setdefault(group, number) == number
    counts = np.bincount(list(half_of_group.values()))
    assert abs(counts[0] - counts[1]) <= 1


def test_too_little_is_held_out_to_be_halved():
    sequences = Sequences.from_arrays([np.zeros((2, 1))] * 8, np.arange(8) % 2)
    sequences = replace(sequences, groups=torch.arange(8) // 4)
    dataset = Dataset("pairs", sequences, None, ("a", "b"))
    held_out = [sequences.subset(torch.arange(4))] * 2  # one group
    message = "pairs: too few sequences or groups are held out in 2 rounds .* Use more rounds"
    with pytest.raises(DataError, match=message):
        halves_of(dataset, held_out, 0)
