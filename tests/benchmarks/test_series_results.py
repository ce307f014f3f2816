"""The sections of docs/results.md about recipe time-series."""

import families
import pytest
from families import FAMILIES
from series_results import archive_table, families_table, series_section


def record(data, seed, accuracy, **more):
    metrics = {part: {"accuracy": accuracy, "count": 40} for part in ("train", "test")}
    return {"data": data, "seed": seed, "metrics": metrics, **more}


def test_every_family_has_a_bayes_accuracy_between_90_and_100_percent():
    known = families.read_record()
    assert list(known) == list(FAMILIES)
    for entry in known.values():
        assert 90 < entry["percent"] <= 100
        assert entry["error"] < 0.3


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.92, "**missed**"), (0.95, "reached")])
def test_the_share_is_relative_to_the_best_classifier_on_the_same_data(accuracy, verdict):
    records = [
        record("shape", 0, accuracy, best_accuracy=0.97),
        record("shape", 1, accuracy + 0.01, best_accuracy=0.99),
        record("GunPoint", 0, 0.5),
    ]
    rows = [line for line in families_table(records) if line.startswith("| shape ")]
    assert len(rows) == 1
    share = 100 * (accuracy + 0.005) / 0.98
    mean = 100 * accuracy + 0.5
    assert f"| **{mean:.2f}** ({mean - 0.5:.2f} to {mean + 0.5:.2f}), 0.71 |" in rows[0]
    assert f"| {share:.1f} {verdict} |" in rows[0]


def test_the_archive_section_names_targets():
    records = [record("BasicMotions", seed, 1.0) for seed in range(5)]
    row = "| BasicMotions | 40 / 40 | **100.00** (100.00 to 100.00), 0.00 | 100.0 reached |"
    assert row in archive_table(records)


def test_without_records_the_page_says_so():
    assert archive_table([]) == families_table([]) == []
    assert "These settings have not been measured on test data yet." in series_section([])
    measured = series_section([record("BasicMotions", 0, 1.0)])
    assert not any("have not been measured" in line for line in measured)


def test_families_without_records_are_named():
    lines = families_table([record("shape", 0, 0.9, best_accuracy=0.98)])
    assert lines[-2].startswith("Not measured yet: frequency, many, order, ")
