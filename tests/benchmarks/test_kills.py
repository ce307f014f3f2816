"""A sample of the benchmark that kills trainings; tests/test_kill.py aims at certain moments."""

import random

import kills
import pytest


@pytest.mark.parametrize("name", ["larger than memory", "step labels"])
def test_killed_runs_end_as_if_nothing_had_happened(tmp_path, name, seed):
    folder = tmp_path / "trial"
    moments, differs = kills.Trial(folder, kills.KINDS[name]).run(random.Random(seed))
    assert differs == "", moments
    metrics = folder / "run" / "metrics.json"
    metrics.write_text(metrics.read_text() + " ")
    assert kills.difference(folder / "run", folder / "expected") == "metrics.json"
