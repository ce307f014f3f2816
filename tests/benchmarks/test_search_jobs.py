"""Jobs of a search run once, and failures do not end it."""

import json

import pytest
from search_jobs import not_done, read_records, run_all

SCRIPT = """
import json
import sys

job = json.loads(sys.argv[2])
print("a line before the results")
print(json.dumps({"accuracy": 1 / job["settings"]["divisor"]}))
"""


def job(variant="wide", seed=0, **settings):
    return {"variant": variant, "seed": seed, "settings": {"divisor": 2, **settings}}


@pytest.fixture
def run(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    path = tmp_path / "records.jsonl"

    def run_jobs(*jobs):
        run_all(tmp_path / "script.py", jobs, path, processes=2)
        return read_records(path)

    return run_jobs


def test_jobs_are_recorded_once(run, capsys):
    first = run(job(), job(seed=1))
    assert sorted(first, key=lambda record: record["seed"]) == [
        {**job(), "accuracy": 0.5},
        {**job(seed=1), "accuracy": 0.5},
    ]
    assert list(first[0]) == ["variant", "seed", "settings", "accuracy"]
    assert "wide, seed 0: 50.00 %" in capsys.readouterr().out.splitlines()
    assert run(job(), job(seed=1)) == first


def test_a_failure_does_not_end_the_search_and_is_run_again(run, capsys):
    failing = job(divisor=0)
    for count in (1, 2):
        records = run(failing, job(seed=1))
        errors = [record for record in records if "error" in record]
        assert errors == [{**failing, "error": "ZeroDivisionError: division by zero"}] * count
        assert len(records) == count + 1
    assert "wide, seed 0: ZeroDivisionError: division by zero" in capsys.readouterr().out


def test_changed_settings_are_run_again():
    done = {**job(classes=[1, 2]), "accuracy": 0.5}
    assert not_done([job(classes=(1, 2))], [done]) == []
    changed = [job(classes=(1, 3)), job(), job(classes=(1, 2), more=1), job("deep", classes=(1, 2))]
    assert not_done(changed, [done]) == changed


def test_an_error_of_the_search_itself_is_raised(tmp_path):
    (tmp_path / "script.py").write_text("print('no JSON')")
    with pytest.raises(json.JSONDecodeError):
        run_all(tmp_path / "script.py", [job()], tmp_path / "records.jsonl", processes=1)
