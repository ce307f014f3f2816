"""`bothways compare`: who wins, and by what figures."""

import json
import sys

import numpy as np
import pytest
from commands import refuse, succeed

from bothways.cli.print_candidates import describe_difference, print_candidates
from bothways.model_selection.compare import Candidate, Comparison
from bothways.model_selection.paired import Difference
from bothways.model_selection.selection import Selection

GRU = Selection("bidirectional GRU", 2, [0.9, 0.92], 0.013)
ROCKET = Selection("MiniRocket", 3, [0.94, 0.95], 0.0)
ALONE = Selection("forward GRU", 1, [0.9, 0.9], 0.0)
CANDIDATES = [
    Candidate("bidirectional GRU", True, [0.9, 0.92]),
    Candidate("MiniRocket", False, [0.94, 0.95]),
]


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (
            (0.031, 0.010, 0.052, 0.0128),
            "The best network (bidirectional GRU) is better than the best baseline (MiniRocket) by "
            "3.10 points, 95 % interval 1.00 to 5.20, p = 0.013.",
        ),
        (
            (-0.031, -0.052, -0.010, 0.0128),
            "The best baseline (MiniRocket) is better than the best network (bidirectional GRU) by "
            "3.10 points, 95 % interval 1.00 to 5.20, p = 0.013.",
        ),
        (
            (-0.008, -0.026, 0.010, 0.34),
            "No difference can be shown between the best baseline (MiniRocket) and the best "
            "network (bidirectional GRU): the baseline is better by 0.80 points, 95 % interval "
            "-1.00 to 2.60, p = 0.34.",
        ),
        (
            (-0.5, None, None, None),
            "The best baseline (MiniRocket) is better than the best network (bidirectional GRU) by "
            "50.00 points in every round; without any spread, no interval can be computed.",
        ),
        (
            (0.0, None, None, None),
            "The best network (bidirectional GRU) and the best baseline (MiniRocket) are equally "
            "accurate in every round.",
        ),
    ],
)
def test_who_wins(figures, expected):
    assert describe_difference(Difference(GRU, ROCKET, *figures), "network", "baseline") == expected


def test_a_single_candidate_is_not_the_best():
    found = Difference(GRU, ALONE, 0.01, None, None, None)
    text = describe_difference(found, "bidirectional network", "forward network")
    assert "The best bidirectional network (bidirectional GRU) is better than the forward" in text


def printed(capsys, *arguments):
    print_candidates(Comparison(*arguments))
    return capsys.readouterr().out.splitlines()


def test_a_winning_baseline_is_what_the_output_begins_with(capsys):
    worse = Difference(GRU, ROCKET, -0.031, -0.052, -0.010, 0.0128)
    lines = printed(capsys, CANDIDATES, worse, None, ["install MiniRocket"])
    assert lines[0].startswith("The best baseline (MiniRocket) is better than the best network")
    assert lines[0].endswith("p = 0.013. Use MiniRocket for this data.")
    assert lines[-1] == "note: install MiniRocket"
    tables = [line.split() for line in lines]
    assert ["bidirectional", "GRU", "91.00%", "1.41%"] in tables
    assert ["network", "bidirectional", "GRU", "92.30%", "91.00%", "+1.30%"] in tables
    assert ["baseline", "MiniRocket", "94.50%", "94.50%", "+0.00%"] in tables


@pytest.mark.parametrize("figures", [(0.03, 0.01, 0.05, 0.01), (-0.01, -0.03, 0.01, 0.3)])
def test_nothing_is_advised_unless_a_baseline_wins(capsys, figures):
    directions = Difference(ALONE, ALONE, 0.0, None, None, None)
    lines = printed(capsys, CANDIDATES, Difference(GRU, ROCKET, *figures), directions, [])
    assert not any("for this data" in line for line in lines)
    assert not any(line.startswith(("bidirectional", "note")) for line in lines)
    assert lines[2].startswith("The bidirectional network (forward GRU) and the forward network")


def test_the_table_has_columns_for_recordings(capsys):
    windows = [Candidate("forward LSTM", True, [0.8, 0.9], [0.95, 1.0])]
    lines = printed(capsys, windows, Difference(GRU, ROCKET, 0.0, None, None, None), None, [])
    title = next(n for n, line in enumerate(lines) if "candidate" in line)
    assert "of windows" in lines[title]
    assert "of recordings" in lines[title]
    assert lines[title + 2].split()[2:] == ["85.00%", "7.07%", "97.50%", "3.54%"]


@pytest.fixture
def waves(tmp_path):
    labels = np.arange(24) % 2
    random = np.random.default_rng(0)
    inputs = random.normal(labels[:, None, None], 1, (24, 9, 1)).astype(np.float32)
    np.savez(tmp_path / "waves.npz", inputs=inputs, labels=labels)
    return tmp_path / "waves.npz"


def test_the_command(waves, monkeypatch):
    monkeypatch.setitem(sys.modules, "aeon", None)
    fast = ["--rounds=2", "--set=epochs=1", "--set=hidden_size=4"]
    result = json.loads(succeed("compare", waves, *fast, "--json").stdout)
    assert [candidate["name"] for candidate in result["candidates"]] == [
        "bidirectional GRU",
        "forward GRU",
        "majority class",
        "logistic regression on summaries",
    ]
    answer = result["recurrent_against_baseline"]
    assert set(answer) == {"first", "second", "mean", "low", "high", "p_value"}
    assert set(answer["first"]) == {"name", "candidates", "accuracies", "optimism"}
    assert "pip install aeon" in result["notes"][0]
    assert "'--rounds': Input should be greater than or equal to 2" in refuse(
        "compare", waves, "--rounds=1"
    )
