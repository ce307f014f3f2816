"""Event files for TensorBoard, read back with TensorBoard's own reader."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bothways.data.dataset import Dataset
from bothways.data.sequences import Sequences
from bothways.errors import MissingDependencyError, TrainingInterrupted
from bothways.training.history import read_epochs, read_history
from bothways.training.run import resume, train

SETTINGS = {
    "epochs": 3,
    "hidden_size": 4,
    "batch_size": 8,
    "log_every": 2,
    "validation_fraction": 0.2,
    "tensorboard": True,
}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    labels = np.arange(50) % 2
    arrays = [rng.normal(label, 1, (5, 2)) for label in labels]
    return Dataset("waves", Sequences.from_arrays(arrays, labels), None, ("calm", "rough"))


def scalars(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        name: [(scalar.step, scalar.value) for scalar in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def expected(folder):
    """Return what the event files should contain, from the history."""
    steps = [line for line in read_history(folder / "history.jsonl") if line["kind"] == "step"]
    epochs = read_epochs(folder / "history.jsonl")
    size = epochs[0].step

    def of_steps(name):
        return [((line["epoch"] - 1) * size + line["step"], line[name]) for line in steps]

    def of_epochs(name):
        return [(epoch.epoch * size, getattr(epoch, name)) for epoch in epochs]

    return {
        "step/loss": of_steps("loss"),
        "step/learning_rate": of_steps("learning_rate"),
        "step/gradient_norm": of_steps("gradient_norm"),
        "loss/train": of_epochs("loss"),
        "loss/validation": of_epochs("validation_loss"),
        "accuracy/train": of_epochs("accuracy"),
        "accuracy/validation": of_epochs("validation_accuracy"),
        "speed/sequences_per_second": of_epochs("sequences_per_second"),
    }


def check(folder):
    found, wanted = scalars(folder), expected(folder)
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert np.allclose(found[name], values, rtol=1e-6), name


def test_event_files_contain_the_history(data, tmp_path):
    run = train(data, "default", out=tmp_path / "run", **SETTINGS)
    check(run.folder)


def test_events_after_the_last_saved_state_are_hidden_on_resume(data, tmp_path):
    calls = iter(range(7))
    with pytest.raises(TrainingInterrupted):
        train(
            data,
            "default",
            out=tmp_path / "run",
            should_stop=lambda: next(calls, None) is None,
            **SETTINGS,
        )
    run = resume(tmp_path / "run", data)
    check(run.folder)


def test_event_files_do_not_change_the_training(data, tmp_path):
    with_events = train(data, "default", out=tmp_path / "a", **SETTINGS)
    without = train(data, "default", out=tmp_path / "b", **{**SETTINGS, "tensorboard": False})
    a, b = with_events.load().classifier, without.load().classifier
    for one, other in zip(a.parameters(), b.parameters(), strict=True):
        assert one.equal(other)
    assert not list(without.folder.glob("events*"))
    assert "gradient_norm" not in (without.folder / "history.jsonl").read_text()


def test_a_missing_package_is_named_before_anything_is_written(data, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboard", None)
    with pytest.raises(MissingDependencyError, match=r"bothways\[tensorboard\]"):
        train(data, "default", out=tmp_path / "run", **SETTINGS)
    assert not (tmp_path / "run").exists()
