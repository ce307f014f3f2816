import json

import numpy as np
import pytest
from random_models import random_model

from bothways.export.held_out import open_held_out
from bothways.models.loading import load
from bothways.training.run import train

SMALL = {"hidden_size": 2, "num_layers": 1, "epochs": 1}


@pytest.fixture
def run(tmp_path):
    """Return the folder of a run with 20 training and 8 test sequences."""
    inputs = np.random.default_rng(0).normal(size=(28, 4, 1)).astype(np.float32)
    labels = np.arange(28) % 2
    arrays = {"inputs": inputs[:20], "labels": labels[:20]}
    tests = {"test_inputs": inputs[20:], "test_labels": labels[20:]}
    np.savez(tmp_path / "data.npz", **arrays, **tests)
    train(str(tmp_path / "data.npz"), out=tmp_path / "run", validation_fraction=0.2, **SMALL)
    return tmp_path / "run"


def test_the_test_part_comes_first(run):
    name, sequences = open_held_out(load(run), run)
    assert (name, len(sequences)) == ("test", 8)


def test_the_validation_part_is_that_of_the_training(run):
    data = dict(np.load(run.parent / "data.npz"))
    other = run.parent / "other.npz"
    np.savez(other, inputs=data["inputs"], labels=data["labels"])
    train(str(other), out=run.parent / "other", validation_fraction=0.2, **SMALL)
    name, sequences = open_held_out(load(run.parent / "other"), run.parent / "other")
    assert (name, len(sequences)) == ("validation", 4)


def test_other_data_are_not_used(run):
    data = dict(np.load(run.parent / "data.npz"))
    data["inputs"] = data["inputs"] + 1
    np.savez(run.parent / "data.npz", **data)
    assert open_held_out(load(run), run) is None
    (run.parent / "data.npz").unlink()
    assert open_held_out(load(run), run) is None


def test_a_run_may_not_know_its_data(run):
    request = run / "checkpoints" / "request.json"
    request.write_text(json.dumps({**json.loads(request.read_text()), "source": None}))
    assert open_held_out(load(run), run) is None


def test_a_model_folder_has_no_data(tmp_path):
    random_model().save(tmp_path / "model")
    assert open_held_out(load(tmp_path / "model"), tmp_path / "model") is None
