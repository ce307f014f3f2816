"""The development data of recipe `time-series`: training sets, and what a round evaluates on.

The test sets of the archive and the families' test seeds are not used here.
"""

import importlib.util
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from families import FAMILIES, FIRST_DEVELOPMENT_SEED
from generators.family import Array

from bothways.data.dataset import Dataset
from bothways.data.open import open_dataset

ARCHIVE = (
    "JapaneseVowels",
    "BasicMotions",
    "GunPoint",
    "ItalyPowerDemand",
    "ArrowHead",
    "OSULeaf",
    "PickupGestureWiimoteZ",
)
"""The datasets of the archive whose training sets are used."""

FOLDS = 3


def development_data(name: str, round_number: int) -> Dataset:
    """Return a training set and, as the test set, what the round evaluates on.

    Parameters
    ----------
    name : str
        A family, or one of `ARCHIVE`.
    round_number : int
        From 0. A family has another draw in each round. Of the training set of an archive set, a
        round holds out one of `FOLDS` folds; each `FOLDS` rounds divide it anew.
    """
    if name in FAMILIES:
        return FAMILIES[name].dataset(FIRST_DEVELOPMENT_SEED + round_number)
    dataset = training_part(name)
    seed, fold = divmod(round_number, FOLDS)
    held_out = folds(dataset.train.labels.numpy(), seed) == fold
    return replace(
        dataset,
        train=dataset.train.subset(torch.from_numpy(~held_out).nonzero()[:, 0]),
        test=dataset.train.subset(torch.from_numpy(held_out).nonzero()[:, 0]),
    )


def folds(labels: Array, seed: int) -> Array:
    """Return the fold of each sequence, (count,): a class is divided as evenly as possible."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    found = np.empty(len(labels), dtype=np.int64)
    found[by_class] = np.arange(len(labels)) % FOLDS
    return found


def training_part(name: str) -> Dataset:
    """Return the training set of a dataset of the archive, without its test set.

    The file is copied, because a file `_TEST.ts` beside a file `_TRAIN.ts` is read with it.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"{name}.ts"
        shutil.copy(archive_file(name), copy)
        return open_dataset(str(copy))


def archive_file(name: str) -> Path:
    """Return the path of the training file in aeon's wheel, without importing aeon.

    Raises
    ------
    ModuleNotFoundError
        If aeon is not installed.
    """
    aeon = importlib.util.find_spec("aeon")
    if aeon is None or aeon.origin is None:
        raise ModuleNotFoundError(
            f"{name} is in the wheel of aeon, which is not installed; expected it. Run: pip "
            "install --no-deps aeon==1.6.0"
        )
    return Path(aeon.origin).parent / "datasets" / "data" / name / f"{name}_TRAIN.ts"
