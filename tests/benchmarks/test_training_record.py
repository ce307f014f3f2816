"""Records of trainings are written once."""

import json

import pytest
import series_data
from series_results import measure_series
from training_record import write_records


@pytest.mark.parametrize(("fresh", "expected"), [(False, [1]), (True, [0, 1])])
def test_existing_records_remain_unless_all_are_measured_again(tmp_path, fresh, expected, capsys):
    (tmp_path / "shape-seed0.json").write_text("{}")
    measured = []

    def measure(seed):
        measured.append(seed)
        return {"seed": seed}

    write_records(tmp_path, "shape", (0, 1), measure, fresh=fresh)
    assert measured == expected
    assert capsys.readouterr().out.splitlines() == [f"shape, seed {seed}" for seed in expected]
    for seed in expected:
        record = json.loads((tmp_path / f"shape-seed{seed}.json").read_text())
        assert record == {"seed": seed}


def test_without_aeon_the_records_of_the_archive_remain(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(series_data.importlib.util, "find_spec", lambda name: None)
    measure_series(tmp_path, ["GunPoint", "ArrowHead"], (0, 1), fresh=True)
    printed = capsys.readouterr().out
    assert printed.count("which is not installed; expected it. Run: pip install") == 2
    assert list(tmp_path.iterdir()) == []
