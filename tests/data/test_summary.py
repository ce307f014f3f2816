import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from bothways import Dataset, Sequences
from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.data.problems import suspicious_features
from bothways.data.summary import inspect_dataset, length_histogram


def dataset(arrays, labels, test=None, **more):
    train = Sequences.from_arrays(arrays, labels)
    return Dataset("toy", train, test, ("a", "b"), **more)


def noise(count, steps=6, features=2):
    generator = np.random.default_rng(count)
    return [generator.normal(size=(steps, features)) for _ in range(count)]


def warnings_of(data):
    return " ".join(inspect_dataset(data).warnings)


def test_nothing_to_warn_of():
    inspection = inspect_dataset(dataset(noise(6), [0, 1] * 3))
    assert inspection.warnings == []
    assert inspection.parts["train"].per_class == {"a": 3, "b": 3}
    assert inspection.parts["train"].histogram == [(6, 6, 6)]
    assert inspection.features[0].low < inspection.features[0].high


def test_histogram_covers_every_length():
    lengths = torch.randint(3, 300, (500,), generator=torch.Generator().manual_seed(0))
    histogram = length_histogram(lengths)
    assert sum(count for _, _, count in histogram) == 500
    assert (histogram[0][0], histogram[-1][1]) == (int(lengths.min()), int(lengths.max()))


def test_zeros_and_duplicates():
    arrays = noise(4)
    arrays[1] = np.zeros((6, 2))
    arrays[3] = arrays[2]
    found = warnings_of(dataset(arrays, [0, 1, 0, 1]))
    assert "the train part has 1 sequence of zeros only" in found
    assert "the train part has 1 duplicate sequence." in found


def test_swapped_axes_constant_missing_and_leaking_features():
    assert "3 time steps of 500 features" in warnings_of(dataset(noise(4, 3, 500), [0, 1, 0, 1]))
    arrays = noise(4, features=4)
    for n, values in enumerate(arrays):
        values[:, 1] = 7
        values[:, 2] = n % 2
        values[0, 3] = np.nan
    found = warnings_of(dataset(arrays, [0, 1, 0, 1], features=("x", "same", "leak", "gap")))
    assert "features with a single value in each class, which reveals the class: leak." in found
    assert "constant features, which carry no information: same." in found
    assert "missing in gap (16.7%)" in found


def test_features_that_rise_in_every_sequence():
    arrays = noise(4)
    for values in arrays:
        values[:, 1] = values[0, 1] + np.arange(6) / 10
    data = dataset(arrays, [0, 1, 0, 1], features=("x", "elapsed"))
    (warning,) = suspicious_features(data)
    assert "rise strictly in every sequence, like a time or a row number: elapsed." in warning
    assert warning in warnings_of(data)
    arrays[3][:, 1] = 0
    assert suspicious_features(dataset(arrays, [0, 1, 0, 1])) == []


def test_groups_of_one_class_and_rare_classes():
    data = dataset(noise(24), [0] * 22 + [1] * 2)
    groups = torch.arange(12).repeat_interleave(2)
    data = replace(data, train=replace(data.train, groups=groups))
    found = warnings_of(data)
    assert "each of the 12 groups has sequences of one class only" in found
    assert "22 sequences and the smallest 2" in found


def series(tmp_path, ending, repeated):
    """Write six sequences of four steps; the clock stands still in those at `repeated`."""
    path = tmp_path / f"clock{ending}"
    times = [[10, 10, 20, 30] if n in repeated else [10, 20, 30, 40] for n in range(6)]
    values = np.random.default_rng(0).normal(size=(6, 4)).tolist()
    rows = list(zip("abcdef", "uvuvuv", times, values, strict=True))
    if ending == ".jsonl":
        keys = ("sequence", "label", "times", "values")
        lines = [json.dumps(dict(zip(keys, row, strict=True))) for row in rows]
    elif ending == ".ts":
        pairs = [",".join(map(str, zip(row[2], row[3], strict=True))) for row in rows]
        lines = ["@timeStamps true", "@classLabel true u v", "@data"]
        lines += [
            f"{pair}:{row[1]}".replace(" ", "") for pair, row in zip(pairs, rows, strict=True)
        ]
    else:
        pytest.importorskip("pyarrow")
        lines = ["id,label,t,x"]
        for name, label, stamps, numbers in rows:
            lines += [f"{name},{label},{t},{x}" for t, x in zip(stamps, numbers, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("ending", "place"), [(".csv", "sequence 'c'"), (".jsonl", "line 3"), (".ts", "line 6")]
)
def test_repeated_time_stamps_are_counted_while_reading(tmp_path, ending, place):
    path = series(tmp_path, ending, {2, 5})
    expected = [
        f"repeated time stamps in 2 sequences, first in {place}: check whether two recordings have "
        "the same name."
    ]
    for options in (DataOptions(), DataOptions(test_fraction=0.3), DataOptions(window=2)):
        data = open_dataset(path, options)
        assert [w for w in inspect_dataset(data).warnings if "time stamp" in w] == expected
        assert not any("time stamp" in note for note in data.notes)
    assert open_dataset(series(tmp_path, ending, ())).warnings == ()


def test_repeated_time_stamps_in_the_test_file_count_too(tmp_path):
    test = series(tmp_path, ".jsonl", {1}).replace("clock", "other")
    (tmp_path / "clock.jsonl").rename(test)
    train = series(tmp_path, ".jsonl", ())
    text = (tmp_path / "other.jsonl").read_text().replace('"sequence": "', '"sequence": "other-')
    (tmp_path / "other.jsonl").write_text(text)
    (warning,) = open_dataset(train, DataOptions(test=test)).warnings
    assert warning.startswith("repeated time stamps in 1 sequence,")
