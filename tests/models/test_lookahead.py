"""A trained labeler with other limits of how far it looks ahead."""

import json

import numpy as np
import pytest
from commands import refuse, succeed
from random_models import random_model
from sample_files import write_table

from bothways import DataOptions, load, train
from bothways.errors import ConfigError, ExportError
from bothways.export import export_onnx


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a run whose labels look five steps ahead."""
    folder = tmp_path_factory.mktemp("lookahead")
    write_table(folder / "activities.csv", np.random.default_rng(0), "step")
    options = DataOptions(target="step", test_fraction=0.25)
    settings = {"hidden_size": 4, "steps": 20, "batch_size": 8, "lookahead": 5}
    return train(
        str(folder / "activities.csv"), options=options, out=folder / "run", **settings
    ).folder


def test_the_limit_of_the_training_is_kept(run):
    model = load(run)
    assert "lookahead 5 steps" in repr(model)
    steps = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
    changed = steps.copy()
    changed[10:] += 1
    before, after = model.predict_proba([steps, changed])
    np.testing.assert_array_equal(before[:5], after[:5])
    assert not np.array_equal(before[5:10], after[5:10])


def test_another_limit_has_the_same_weights(run, tmp_path):
    model = load(run).with_lookahead(None)
    steps = [np.random.default_rng(1).normal(size=(20, 3))]
    np.testing.assert_array_equal(
        model.predict_proba(steps), model.with_lookahead(19).predict_proba(steps)
    )
    assert not np.array_equal(model.predict_proba(steps), load(run).predict_proba(steps))
    model.with_lookahead(2).save(tmp_path / "saved")
    np.testing.assert_array_equal(
        load(tmp_path / "saved").predict_proba(steps), model.with_lookahead(2).predict_proba(steps)
    )


def test_a_classifier_of_sequences_has_no_lookahead(tmp_path):
    write_table(tmp_path / "gestures.csv", np.random.default_rng(0), "recording")
    settings = {"hidden_size": 4, "steps": 2}
    run = train(str(tmp_path / "gestures.csv"), out=tmp_path / "run", **settings)
    with pytest.raises(ConfigError, match="lookahead was given, but the model labels sequences"):
        run.load().with_lookahead(3)
    assert refuse("evaluate", run.folder, "--lookahead", "0,all") == (
        "lookahead was given, but the model labels sequences; expected a model that labels time "
        "steps in both directions. Omit lookahead."
    )


def test_a_forward_labeler_has_no_lookahead():
    model = random_model(bidirectional=False, readout="step")
    with pytest.raises(ConfigError, match="lookahead was given, but the model reads forward only"):
        model.with_lookahead(3)


def test_limits_are_compared(run):
    printed = succeed("evaluate", run, "--split", "test", "--lookahead", "0,2,all").output
    assert [line.split()[:2] for line in printed.splitlines() if "test" in line] == [
        ["0", "test"],
        ["2", "test"],
        ["all", "test"],
    ]
    found = json.loads(
        succeed("evaluate", run, "--split", "test", "--lookahead", "5,all", "--json").output
    )
    plain = json.loads(succeed("evaluate", run, "--split", "test", "--json").output)
    assert found["5"] == plain
    assert found["all"] != plain


def test_a_wrong_limit_is_refused(run):
    assert "--lookahead has 'x'; expected numbers" in refuse("evaluate", run, "--lookahead", "0,x")


@pytest.mark.parametrize("name", ["model.onnx", "model.c"])
def test_exports_refuse_a_limit(run, name, tmp_path):
    message = refuse("export", run, "--to", tmp_path / name)
    assert "lookahead is 5, which exported files do not support" in message
    with pytest.raises(ExportError, match="lookahead is 5"):
        export_onnx(load(run), tmp_path / "model.onnx")
