import json

import numpy as np
import pytest
import torch

from bothways.data.duplicates import is_duplicate
from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.data.splitting import group_split, hold_out
from bothways.errors import DataError


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def simple(count, **more):
    return [
        {
            "values": [[n, step] for step in range(5)],
            "label": "ab"[n % 2],
            "sequence": f"s{n}",
            **{key: function(n) for key, function in more.items()},
        }
        for n in range(count)
    ]


def test_a_test_part_is_held_out_stratified_and_for_ever_the_same(tmp_path):
    path = write(tmp_path / "x.jsonl", simple(20))
    parts = [open_dataset(path, DataOptions(test_fraction=0.2)) for _ in range(2)]
    assert [len(part) for part in (parts[0].train, parts[0].test)] == [16, 4]
    assert parts[0].test.labels.tolist().count(0) == 2
    assert parts[0].test.fingerprint() == parts[1].test.fingerprint()
    other = open_dataset(path, DataOptions(test_fraction=0.2, split_seed=1))
    assert other.test.fingerprint() != parts[0].test.fingerprint()


def test_no_group_crosses_a_split(tmp_path):
    path = write(tmp_path / "x.jsonl", simple(60, group=lambda n: f"p{n // 5}"))
    dataset = open_dataset(path, DataOptions(test_fraction=0.25, group="group"))
    training, validation = hold_out(dataset, 0.2, seed=3)
    groups = [set(part.groups.tolist()) for part in (training, validation, dataset.test)]
    assert sum(len(some) for some in groups) == len(set.union(*groups)) == 12
    assert all(len(part) for part in (training, validation, dataset.test))


@pytest.mark.parametrize("seed", range(5))
def test_group_split_comes_near_to_each_classes_fraction(seed):
    generator = torch.Generator().manual_seed(seed)
    groups = torch.arange(30).repeat_interleave(10)
    labels = torch.randint(0, 3, (300,), generator=generator)
    kept, held_out = group_split(torch.nn.functional.one_hot(labels), groups, 0.2, seed)
    assert not set(groups[kept].tolist()) & set(groups[held_out].tolist())
    shares = labels[held_out].bincount() / labels.bincount()
    assert (shares - 0.2).abs().max() < 0.08


def test_the_latest_are_held_out_by_time(tmp_path):
    begin = {3: 500, 7: 900, 1: 700}
    records = simple(10, times=lambda n: [begin.get(n, n) + step for step in range(5)])
    path = write(tmp_path / "x.jsonl", records)
    dataset = open_dataset(path, DataOptions(test_fraction=0.2, by_time=True))
    assert dataset.test.batch([0, 1]).inputs[:, 0, 0].tolist() == [1, 7]
    _, validation = hold_out(dataset, 0.125, seed=0)
    assert validation.batch([0]).inputs[0, 0, 0] == 3
    with pytest.raises(DataError, match="has no times"):
        open_dataset(write(tmp_path / "y.jsonl", simple(10)), DataOptions(by_time=True))


def test_by_time_groups_stay_whole(tmp_path):
    records = simple(
        12, group=lambda n: f"p{n % 4}", times=lambda n: [10 * n + step for step in range(5)]
    )
    path = write(tmp_path / "x.jsonl", records)
    dataset = open_dataset(path, DataOptions(test_fraction=0.25, by_time=True, group="group"))
    assert sorted(dataset.test.steps[dataset.test.starts, 0].tolist()) == [3, 7, 11]
    _, validation = hold_out(dataset, 0.3, seed=0)
    assert sorted(validation.steps[validation.starts, 0].tolist()) == [2, 6, 10]


def test_windows_of_a_recording_stay_on_one_side(tmp_path):
    records = [
        {"values": list(range(100 * n, 100 * n + 20)), "label": "ab"[n % 2], "sequence": f"r{n}"}
        for n in range(8)
    ]
    path = write(tmp_path / "x.jsonl", records)
    dataset = open_dataset(path, DataOptions(window=8, stride=4, test_fraction=0.25))
    assert len(dataset.train) + len(dataset.test) == 8 * 4
    recordings = [
        {int(part.steps[start, 0]) // 100 for start in part.starts}
        for part in dataset.parts.values()
    ]
    assert not recordings[0] & recordings[1]
    first = dataset.train.batch([0, 1]).inputs[:, 0, 0]
    assert first[1] - first[0] == 4


def test_groups_in_the_file_count_without_being_asked_for(tmp_path):
    path = write(tmp_path / "x.jsonl", simple(40, group=lambda n: f"p{n // 4}"))
    dataset = open_dataset(path, DataOptions(test_fraction=0.3))
    assert not set(dataset.train.groups.tolist()) & set(dataset.test.groups.tolist())


def test_names_that_are_numbers_are_names_in_a_table(tmp_path):
    rows = [f"{n},{n * n},{'ab'[n % 2]}" for n in range(6)]
    for name, some in (("train.csv", rows), ("test.csv", rows[:2])):
        (tmp_path / name).write_text("\n".join(["id,x,label", *some]) + "\n")
    with pytest.raises(DataError, match="sequence '0' is in train and in test"):
        open_dataset(str(tmp_path / "train.csv"), DataOptions(test=str(tmp_path / "test.csv")))


def test_numbers_of_two_files_are_not_names(tmp_path):
    records = [{"values": list(range(20)), "label": "ab"[n % 2]} for n in range(6)]
    train = write(tmp_path / "train.jsonl", records)
    test = write(tmp_path / "test.jsonl", records[:2])
    dataset = open_dataset(train, DataOptions(test=test, window=10))
    assert (len(dataset.train), len(dataset.test)) == (12, 4)


def test_a_sequence_on_both_sides_is_refused(tmp_path):
    train = write(tmp_path / "train.jsonl", simple(10))
    test = write(tmp_path / "test.jsonl", simple(3))
    with pytest.raises(DataError, match="sequence 's0' is in train and in test"):
        open_dataset(train, DataOptions(test=test))


def test_a_class_that_training_does_not_know_is_named(tmp_path):
    train = write(tmp_path / "train.jsonl", simple(10))
    with pytest.raises(DataError, match="has a class 'b'; expected one of a, c"):
        open_dataset(train, classes=("a", "c"))
    with pytest.raises(DataError, match="has a class 'b'; did you mean 'B'"):
        open_dataset(train, classes=("a", "B"))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"sequence": "id"}, "mnist has no columns, so --sequence id has no meaning"),
        ({"by_time": True}, "mnist has no times"),
        ({"window": 3}, "mnist has a test set; expected no --window"),
        ({"validation": "x.csv"}, "mnist has a test set"),
    ],
)
def test_options_of_tables_are_refused_for_arrays(option, message):
    with pytest.raises(DataError, match=message):
        open_dataset("mnist", DataOptions(**option))


def test_flat_values_and_offsets(tmp_path):
    path = tmp_path / "flat.npz"
    values = np.arange(14, dtype=np.float32).reshape(7, 2)
    np.savez(path, values=values, offsets=[0, 3, 4, 7], labels=[0, 1, 0], groups=[5, 6, 5])
    dataset = open_dataset(str(path))
    assert dataset.train.lengths.tolist() == [3, 1, 3]
    assert dataset.train.groups.tolist() == [0, 1, 0]
    for offsets in ([0, 3, 3, 7], [1, 3, 4, 7], [0, 3, 4, 8], [[0, 7]]):
        np.savez(path, values=values, offsets=offsets, labels=[0, 1, 0])
        with pytest.raises(DataError, match=r"offsets has shape .*; expected whole numbers"):
            open_dataset(str(path))


@pytest.mark.parametrize("fraction", [0.2, 0.8, 0.95])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_some_group_is_left_to_train_on(count, fraction):
    counts = torch.full((count, 2), 5)
    kept, held_out = group_split(counts, torch.arange(count), fraction, seed=0)
    assert len(kept)
    assert len(held_out)
    assert sorted([*kept.tolist(), *held_out.tolist()]) == list(range(count))


def test_a_class_that_training_lacks_is_said(tmp_path):
    train = write(tmp_path / "train.jsonl", simple(10))
    strange = [{"values": [[1, 1]], "label": "c", "sequence": "t0"}]
    test = write(tmp_path / "test.jsonl", strange)
    dataset = open_dataset(train, DataOptions(test=test))
    assert "no training sequence has the class c" in dataset.notes


def test_more_classes_than_expected_are_refused(tmp_path):
    records = [{"values": [n], "label": str(n / 7)} for n in range(20)]
    path = write(tmp_path / "x.jsonl", records)
    with pytest.raises(DataError, match=r"has 20 classes, .* expected 2 to 9\..*--max-classes 20"):
        open_dataset(path, DataOptions(max_classes=9))
    assert len(open_dataset(path, DataOptions(max_classes=20)).classes) == 20


@pytest.mark.parametrize(
    "option",
    [{"group": "subject"}, {"label": "y"}, {"split": "part"}, {"features": ("x",)}, {"time": "t"}],
)
def test_columns_are_refused_where_there_are_none(tmp_path, option):
    lines = write(tmp_path / "x.jsonl", simple(8))
    series = tmp_path / "x.ts"
    series.write_text("@classLabel true a b\n@data\n1,2:a\n3,4:b\n")
    for path in (lines, str(series)):
        with pytest.raises(DataError, match=rf"so --{next(iter(option))} \w+ has no meaning"):
            open_dataset(path, DataOptions(**option))


def test_a_group_that_was_asked_for_must_be_there(tmp_path):
    path = write(tmp_path / "x.jsonl", simple(8))
    with pytest.raises(DataError, match="line 1 has no 'group'; expected one in each line"):
        open_dataset(path, DataOptions(group="group"))


def test_a_name_on_both_sides_is_refused_whatever_its_group(tmp_path):
    train = write(tmp_path / "train.jsonl", simple(10, group=lambda n: f"p{n}"))
    test = write(tmp_path / "test.jsonl", simple(3, group=lambda n: f"q{n}"))
    with pytest.raises(DataError, match="sequence 's0' is in train and in test"):
        open_dataset(train, DataOptions(test=test, group="group"))


def test_copies_in_the_validation_split_are_dropped_from_training(tmp_path):
    records = simple(30)
    again = [record | {"sequence": f"again{n}"} for n, record in enumerate(records)]
    path = write(tmp_path / "x.jsonl", records + again)
    whole = hold_out(open_dataset(path), 0.3, seed=0)
    assert sum(is_duplicate(whole[1], whole[0])) > 0
    clean = hold_out(open_dataset(path, DataOptions(drop_copies=True)), 0.3, seed=0)
    assert sum(is_duplicate(clean[1], clean[0])) == 0
    assert len(clean[0]) < len(whole[0])
    others = [record | {"sequence": f"other{n}"} for n, record in enumerate(records)]
    both = write(tmp_path / "y.jsonl", others)
    with pytest.raises(DataError, match="all training sequences are also in a held-out set"):
        open_dataset(path, DataOptions(test=both, drop_copies=True))
