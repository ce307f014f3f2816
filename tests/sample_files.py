"""The files that the documentation names: small, and made of random numbers."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import nn

from bothways import Dataset, Sequences, train
from bothways.data.builtin.mnist import mnist


def write_samples(folder):
    """Write all files but runs into the folder."""
    rng = np.random.default_rng(0)
    write_gestures(folder / "gestures.csv", rng)
    write_steps(folder / "steps.parquet", rng, labeled=True)
    write_steps(folder / "new.parquet", rng, labeled=False)
    for part in ("TRAIN", "TEST"):
        write_vowels(folder / f"JapaneseVowels_{part}.ts", rng)
    write_digits(folder)
    write_checkpoint(folder / "model.ckpt")


def write_gestures(path, rng):
    """Write 40 gestures of 10 persons, a row with three features for each time step."""
    lines = ["recording,t,ax,ay,az,person,label"]
    for number in range(40):
        label = ("circle", "wave")[number % 2]
        for time, values in enumerate(rng.normal(number % 2, 1, (rng.integers(8, 20), 3))):
            numbers = ",".join(f"{value:.3f}" for value in values)
            lines.append(f"{number},{time},{numbers},person {number // 4},{label}")
    path.write_text("\n".join(lines) + "\n")


def write_steps(path, rng, labeled):
    """Write 40 sessions of 10 subjects, a row for each time step."""
    columns = {name: [] for name in ("session", "t", "subject", "x", "y", "activity")}
    for session in range(40):
        length = rng.integers(8, 20)
        columns["session"] += [f"session {session}"] * length
        columns["t"] += range(length)
        columns["subject"] += [f"subject {session // 4}"] * length
        for name in "xy":
            columns[name] += rng.normal(session % 2, 1, length).tolist()
        columns["activity"] += [("walking", "resting")[session % 2]] * length
    if not labeled:
        del columns["activity"]
    pq.write_table(pa.table(columns), path)


def write_vowels(path, rng):
    """Write 30 sequences of three features in the format of the time series archive."""
    head = "@problemName vowels\n@univariate false\n@equalLength false\n@classLabel true a i\n@data"
    lines = [head]
    for number in range(30):
        features = rng.normal(number % 2, 1, (3, rng.integers(7, 15))).round(3)
        lines.append(":".join([*(",".join(map(str, row)) for row in features), "ai"[number % 2]]))
    path.write_text("\n".join(lines) + "\n")


def write_digits(folder):
    """Write digits of MNIST as arrays, with and without labels, and a three as a picture."""
    digits = mnist().test
    batch = digits.batch(range(20))
    inputs, labels = batch.inputs.numpy(), batch.labels.numpy()
    for name in ("digits", "new"):
        np.savez(folder / f"{name}.npz", inputs=inputs)
    np.savez(folder / "test.npz", inputs=inputs, labels=labels)
    three = inputs[labels == 3][0]
    Image.fromarray((255 * three).astype(np.uint8)).save(folder / "three.png")


def write_checkpoint(path):
    """Write a checkpoint with the names of weights that the notebooks use."""
    layer = nn.LSTM(28, 4, num_layers=2, bidirectional=True, batch_first=True)
    torch.save(nn.ModuleDict({"lstm": layer, "fc": nn.Linear(8, 10)}).state_dict(), path)


def train_waves(folder):
    """Train a model that tells calm from rough: small values from large ones."""
    rng = np.random.default_rng(0)
    labels = np.arange(100) % 2
    sequences = [rng.normal(5 * label, 0.3, (rng.integers(1, 12), 3)) for label in labels]
    data = Dataset("waves", Sequences.from_arrays(sequences, labels), None, ("calm", "rough"))
    settings = {"hidden_size": 4, "num_layers": 1, "stem_channels": None, "stem_stride": 1}
    train(data, out=folder, steps=60, learning_rate=0.03, normalization="dataset", **settings)
