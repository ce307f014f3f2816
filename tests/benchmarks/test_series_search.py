"""The search: folds, jobs and their records, and the tables."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import series_search
from families import FAMILIES, FIRST_DEVELOPMENT_SEED, TEST_SEEDS
from search_jobs import read_records, run_all
from series_data import FOLDS, development_data, folds
from series_report import report
from series_search import Job, recipe_of
from series_variants import VARIANTS

from bothways.recipes import load_recipe

QUICK = {"epochs": 1, "stem_channels": None, "hidden_size": 2}


def test_folds_divide_each_class_evenly():
    labels = np.repeat([0, 1, 2], [10, 7, 3])
    found = folds(labels, seed=1)
    for label in range(3):
        counts = np.bincount(found[labels == label], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1
    assert not np.array_equal(found, folds(labels, seed=2))


def test_development_data_are_no_test_data():
    assert max(TEST_SEEDS) < FIRST_DEVELOPMENT_SEED
    first, second = (development_data("decades", number) for number in (0, 1))
    of_tests = [FAMILIES["decades"].dataset(seed) for seed in TEST_SEEDS]
    known = {part.fingerprint() for dataset in of_tests for part in (dataset.train, dataset.test)}
    new = {d.fingerprint() for d in (first.train, first.test, second.train, second.test)}
    assert len(new) == 4
    assert not new & known


def test_a_record_contains_the_job_and_its_results_or_an_error(tmp_path):
    path = tmp_path / "records.jsonl"
    wrong, right = (
        asdict(Job(name, settings, "decades", 0))
        for name, settings in (("wrong", {"hidden_sizes": 2}), ("right", QUICK))
    )
    run_all(Path(series_search.__file__), [wrong, right], path, processes=1)
    records = read_records(path)
    assert records[0].keys() == {*wrong, "error"}
    assert "did you mean 'hidden_size'" in records[0]["error"].lower()
    assert records[1].items() >= right.items()
    assert records[1]["steps"] == 3  # 40 sequences in batches of 16
    assert records[1]["machine"]["threads"] == 1


def test_settings_for_labels_of_steps_replace_the_others():
    job = Job("variant", {"readout": "mean", "step": {"readout": "step", "epochs": 7}}, "", 3)
    assert recipe_of(job, "sequence").model.readout == "mean"
    of_steps = recipe_of(job, "step")
    assert (of_steps.model.readout, of_steps.model.stem_channels) == ("step", None)
    assert (of_steps.training.epochs, of_steps.training.seed) == (7, 3)


@pytest.mark.parametrize("target", ["sequence", "step"])
def test_the_recipe_is_the_chosen_variant(target):
    found = recipe_of(Job("chosen", VARIANTS["chosen"], "", 0), target)
    recipe = load_recipe("time-series").for_target(target)
    assert (found.model, found.training) == (recipe.model, recipe.training)


def record(variant, data, number, accuracy, **more):
    return {
        "variant": variant,
        "data": data,
        "round": number,
        "accuracy": accuracy,
        "best_accuracy": 0.99 if data == "shape" else None,
        "data_sha256": "new",
        "log_loss": 0.5,
        "seconds": 10,
        **more,
    }


def test_the_report_compares_variants_in_the_same_rounds():
    records = [
        record("base", "shape", 0, 0.10, data_sha256="old"),
        *(record("base", "shape", n, accuracy) for n, accuracy in enumerate((0.90, 0.92))),
        *(record("wide", "shape", n, accuracy) for n, accuracy in enumerate((0.93, 0.97))),
        *(record("base", "GunPoint", n, 0.8) for n in range(2)),
        *(record("wide", "GunPoint", n, 0.8) for n in range(2)),
        {"variant": "wide", "data": "order", "round": 0, "error": "out of memory"},
    ]
    lines = report(records, ["base", "wide"], ["shape", "GunPoint", "order"]).splitlines()
    assert "| shape | 99.0 | 91.0 ± 1.0 | 95.0 ± 2.0 |" in lines
    assert "| GunPoint | - | 80.0 ± 0.0 | 80.0 ± 0.0 |" in lines
    assert "| base | 2 | 4.00 ± 0.50 | 0.00 ± 0.00 | 1.75 | 0.500 | 10 | 0 |" in lines
    assert "| wide | 2 | 2.00 ± 1.00 | 2.00 ± 0.50 | 1.25 | 0.500 | 10 | 1 |" in lines


@pytest.mark.parametrize("records", [[], [{"variant": "a", "data": "b", "round": 0, "error": "x"}]])
def test_the_report_of_no_records(records):
    assert report(records, ["a"], ["b"]).endswith(f"| a | 0 | - | - | - | - | - | {len(records)} |")
