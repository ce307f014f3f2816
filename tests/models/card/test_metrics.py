from manifests import make_manifest, make_metrics

from bothways.evaluation.segments import SegmentMetrics
from bothways.models.card.metrics import metrics_section

ROW = "12,345 | 98.77% | 97.65% | 0.9654 | 0.0432 | 0.0000"


def rows(metrics, **settings):
    return [line for line in metrics_section(make_manifest(**settings), metrics) if "|" in line]


def test_each_split_has_a_row():
    found = rows({"train": make_metrics(), "test": make_metrics()})
    assert found[0].startswith("| split | sequences | accuracy | ")
    assert found[2:] == [f"| {split} | {ROW} |" for split in ("train", "test")]


def test_the_seed_is_named():
    lines = list(metrics_section(make_manifest(), {"test": make_metrics()}))
    assert lines[2].startswith("Of one training, with seed 17.")


def test_windows_and_recordings_have_rows():
    found = rows({"test": make_metrics(recordings=make_metrics(count=7))})
    assert found[2] == f"| test, windows | {ROW} |"
    assert found[3] == f"| test, recordings | {ROW} |".replace("12,345", "7")


def test_segments_have_a_table():
    metrics = make_metrics(segments=SegmentMetrics(0.1, 0.2, 0.3, 0.4))
    found = rows({"test": metrics}, readout="step")
    assert found[0].startswith("| split | steps | accuracy | ")
    assert found[3].startswith("| split | edit score | ")
    assert found[5] == "| test | 0.1000 | 0.2000 | 0.3000 | 0.4000 |"


def test_without_metrics_there_is_no_section():
    assert list(metrics_section(make_manifest(), {})) == []
