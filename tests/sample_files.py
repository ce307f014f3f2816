"""The files that the documentation names: small, and made of random numbers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from bothways import Dataset, Sequences, train
from bothways.data.builtin.mnist import mnist

EXAMPLES = Path(__file__).parents[1] / "examples"


def write_samples(folder):
    """Write all files but runs into the folder."""
    rng = np.random.default_rng(0)
    write_table(folder / "gestures.csv", rng, "recording")
    write_table(folder / "recordings.csv", rng, "recording")
    write_table(folder / "steps.csv", rng, "step")
    write_table(folder / "new.csv", rng, None)
    write_records(folder / "sensor.jsonl", rng)
    write_class_folders(folder / "gestures", rng)
    write_parts(folder / "sensors", folder / "recordings.csv")
    for part in ("TRAIN", "TEST"):
        write_vowels(folder / f"JapaneseVowels_{part}.ts", rng)
    write_digits(folder)
    (folder / "examples").mkdir()
    shutil.copy(EXAMPLES / "three.png", folder / "examples")
    write_checkpoint(folder / "model.ckpt")


def write_table(path, rng, labels):
    """Write 40 recordings of 10 persons, a row with three features for each time step.

    Parameters
    ----------
    labels : {"recording", "step"}, optional
        What has a label. None: there is no label column.
    """
    header = "recording,t,ax,ay,az,person"
    names = ("resting", "walking") if labels == "step" else ("circle", "wave")
    lines = [header if labels is None else f"{header},label"]
    for number in range(40):
        steps = rng.integers(8, 20)
        kinds = np.full(steps, number % 2) if labels == "recording" else np.arange(steps) % 8 // 4
        for time, kind in enumerate(kinds):
            ax, ay, az = rng.normal(kind, 1, 3)
            row = f"r{number},{time},{ax:.3f},{ay:.3f},{az:.3f},person {number // 4}"
            lines.append(row if labels is None else f"{row},{names[kind]}")
    path.write_text("\n".join(lines) + "\n")


def write_parts(folder, table):
    """Write a table as several Parquet files, in folders for two years."""
    frame = pd.read_csv(table)
    number = frame.recording.str[1:].astype(int)
    for n, name in enumerate(("2025/part-0", "2025/part-1", "2026/part-0")):
        path = folder / f"year={name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame[number * 3 // 40 == n].to_parquet(path, index=False)


def write_records(path, rng):
    """Write the steps of two recordings, interleaved, with an object in each line."""
    lines = []
    for time in range(20):
        for name in ("left", "right"):
            ax, ay, az = rng.normal(time % 8 // 4, 1, 3).round(3).tolist()
            lines.append(json.dumps({"recording": name, "t": time, "ax": ax, "ay": ay, "az": az}))
    path.write_text("\n".join(lines) + "\n")


def write_class_folders(folder, rng):
    """Write a folder for each of two classes, with a table for each of ten recordings."""
    for number in range(20):
        path = folder / ("circle", "wave")[number % 2] / f"{number}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = rng.normal(number % 2, 1, (rng.integers(8, 20), 3)).round(3).tolist()
        lines = [f"{time},{','.join(map(str, row))}" for time, row in enumerate(rows)]
        path.write_text("\n".join(["t,ax,ay,az", *lines]) + "\n")


def write_vowels(path, rng):
    """Write 30 sequences of three features in the format of the time series archive."""
    head = "@problemName vowels\n@univariate false\n@equalLength false\n@classLabel true a i\n@data"
    lines = [head]
    for number in range(30):
        features = rng.normal(number % 2, 1, (3, rng.integers(7, 15))).round(3)
        lines.append(":".join([*(",".join(map(str, row)) for row in features), "ai"[number % 2]]))
    path.write_text("\n".join(lines) + "\n")


def write_digits(folder):
    """Write digits of MNIST as arrays, with and without labels."""
    digits = mnist().test
    batch = digits.batch(range(20))
    inputs, labels = batch.inputs.numpy(), batch.labels.numpy()
    for name in ("digits", "new"):
        np.savez(folder / f"{name}.npz", inputs=inputs)
    np.savez(folder / "test.npz", inputs=inputs, labels=labels)


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
