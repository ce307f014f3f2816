from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest

from bothways.evaluation.segments import Segment, SegmentTally, edit_score, matches, segments_of


def runs(text):
    return segments_of(np.array([ord(letter) for letter in text]))


def test_segments_cover_every_step():
    labels = np.random.default_rng(0).integers(0, 3, 200)
    segments = segments_of(labels)
    again = np.concatenate([np.full(s.end - s.start, s.label) for s in segments])
    np.testing.assert_array_equal(again, labels)
    assert all(a.label != b.label and a.end == b.start for a, b in pairwise(segments))
    assert segments_of(labels[:0]) == []


@pytest.mark.parametrize(
    ("true", "predicted", "expected"),
    [
        ("aabbcc", "abbbbc", 1.0),  # the borders do not count
        ("aabb", "bbaa", 0.0),
        ("aaaa", "abab", 0.25),
        ("abc", "aac", 1 - 1 / 3),
        ("", "a", 0.0),
        ("", "", 1.0),
    ],
)
def test_edit_score(true, predicted, expected):
    assert edit_score(runs(true), runs(predicted)) == pytest.approx(expected)


def test_edit_score_is_symmetric():
    generator = np.random.default_rng(1)
    for _ in range(20):
        a, b = (segments_of(generator.integers(0, 3, 30)) for _ in range(2))
        assert edit_score(a, b) == edit_score(b, a)


def test_matches_by_overlap():
    true = [Segment(0, 0, 10), Segment(1, 10, 20)]
    predicted = [Segment(0, 0, 4), Segment(1, 4, 20)]  # overlaps of 0.4 and 0.625
    assert matches(true, predicted, 0.25) == (2, 0, 0)
    assert matches(true, predicted, 0.5) == (1, 1, 1)


def test_a_true_segment_is_found_once():
    true = [Segment(0, 0, 10)]
    predicted = [Segment(0, 0, 4), Segment(1, 4, 6), Segment(0, 6, 10)]
    assert matches(true, predicted, 0.1) == (1, 2, 0)


def figures(pairs):
    tally = SegmentTally()
    for true, predicted in pairs:
        tally.add(true, predicted)
    return asdict(tally.metrics())


def test_segment_metrics_over_sequences():
    labels = np.array([0, 0, 1, 1])
    assert figures([(labels, labels)] * 2) == {
        "edit_score": 1.0,
        "segment_f1_10": 1.0,
        "segment_f1_25": 1.0,
        "segment_f1_50": 1.0,
    }
    half = figures([(labels, labels), (labels, 1 - labels)])
    assert half["edit_score"] == 0.5
    assert half["segment_f1_50"] == 0.5


def reference_figures(true, predicted):
    """Compute the definitions of Lea et al. step by step."""

    def runs_of(labels):
        bounds = [0, *(n for n in range(1, len(labels)) if labels[n] != labels[n - 1]), len(labels)]
        return [(labels[a], set(range(a, b))) for a, b in pairwise(bounds)]

    mine, others = runs_of(true), runs_of(predicted)
    table = np.zeros((len(mine) + 1, len(others) + 1))
    table[:, 0], table[0] = range(len(mine) + 1), range(len(others) + 1)
    for i, (a, _) in enumerate(mine, start=1):
        for j, (b, _) in enumerate(others, start=1):
            table[i, j] = min(
                table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a != b)
            )
    figures = {"edit_score": 1 - table[-1, -1] / max(len(mine), len(others))}
    for overlap in (0.1, 0.25, 0.5):
        used = set()
        for label, steps in others:
            shares = [len(steps & own) / len(steps | own) * (label == name) for name, own in mine]
            best = int(np.argmax(shares))
            if shares[best] >= overlap:
                used.add(best)
        hits = len(used)
        figures[f"segment_f1_{100 * overlap:.0f}"] = 2 * hits / (len(mine) + len(others))
    return figures


@pytest.mark.parametrize("seed", range(40))
def test_segment_metrics_match_the_definitions(seed):
    generator = np.random.default_rng(seed)
    true = np.repeat(generator.integers(0, 3, 12), generator.integers(1, 7, 12))
    noise = generator.random(len(true)) < generator.choice([0.05, 0.3, 0.9])
    predicted = np.where(noise, generator.integers(0, 3, len(true)), true)
    assert figures([(true, predicted)]) == pytest.approx(reference_figures(true, predicted))
