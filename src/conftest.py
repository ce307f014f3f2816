"""The folder in which the examples of the docstrings run: it has data, and runs."""

import shutil

import numpy as np
import pytest
from sample_files import write_table

from bothways import DataOptions, train

FORWARD = {"bidirectional": False, "normalization": "robust"}


@pytest.fixture(scope="session")
def example_files(tmp_path_factory):
    """Return a folder with two tables and two runs of each; and a third run of the first."""
    folder = tmp_path_factory.mktemp("examples")
    for name, labels in (("gestures", "recording"), ("activities", "step")):
        write_table(folder / f"{name}.csv", np.random.default_rng(0), labels)
    train_small(folder, "gestures", "gestures")
    train_small(folder, "gestures-lstm", "gestures", cell="lstm")
    train_small(folder, "gestures-forward", "gestures", **FORWARD)
    train_small(folder, "activities", "activities", "step")
    train_small(folder, "activities-forward", "activities", "step", **FORWARD)
    return folder


def train_small(folder, run, data, target="sequence", **settings):
    """Train on a table in the folder, in a second; the test set is a quarter of the persons."""
    train(
        str(folder / f"{data}.csv"),
        options=DataOptions(group="person", test_fraction=0.25, target=target),
        out=folder / "runs" / run,
        hidden_size=8,
        stem_channels=4,
        learning_rate=0.02,
        steps=100,
        **settings,
    )


@pytest.fixture(autouse=True)
def example_folder(request, tmp_path, monkeypatch):
    """Run an example in a copy of `example_files`."""
    shutil.copytree(request.getfixturevalue("example_files"), tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
