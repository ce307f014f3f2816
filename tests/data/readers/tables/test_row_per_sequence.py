import numpy as np
import pandas as pd
import pytest

from bothways import DataOptions, load, open_dataset, train
from bothways.data.readers.tables import read_table
from bothways.errors import DataError
from bothways.models.pieces import read_pieces

VALUES = np.random.default_rng(0).standard_normal((6, 12)).round(3)
LABELS = ["u", "v"] * 3
SMALL = {"hidden_size": 4, "epochs": 1, "stem_channels": None, "batch_size": 8}


def write(frame, path, **options):
    if path.suffix == ".csv":
        frame.to_csv(path, index=False, **options)
    else:
        frame.to_parquet(path)
    return path


def wide(prefix="t", first=0, values=VALUES):
    return pd.DataFrame(values, columns=[f"{prefix}{first + n}" for n in range(values.shape[1])])


def values_of(source):
    return [record.values for record in source.records]


@pytest.fixture(params=["csv", "parquet"])
def file(request, tmp_path):
    return tmp_path / f"x.{request.param}"


@pytest.mark.parametrize(
    ("prefix", "feature"),
    [("t", "t"), ("", "value"), ("x_", "x"), ("time step ", "time step"), ("v.", "v")],
)
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("place", [0, 12])
def test_numbered_columns_are_steps(file, prefix, feature, first, place):
    frame = wide(prefix, first)
    frame.insert(place, "label", LABELS)
    source = read_table(write(frame, file), DataOptions())
    assert source.features == (feature,)
    assert source.notes == [
        f"guessed: one row for each sequence, with time steps in {prefix}{first} to "
        f"{prefix}{first + 11}; label 'label'"
    ]
    records = list(source.records)
    assert [record.label for record in records] == LABELS
    for record, expected in zip(records, VALUES, strict=True):
        np.testing.assert_array_equal(record.values, expected[:, None])


def test_columns_are_steps_in_the_order_of_their_numbers(file):
    frame = wide().assign(label=LABELS)
    shuffled = frame.sample(frac=1, axis=1, random_state=1)
    for found, expected in zip(
        values_of(read_table(write(shuffled, file), DataOptions())), VALUES, strict=True
    ):
        np.testing.assert_array_equal(found[:, 0], expected)


def test_a_name_of_thousands_of_digits_is_a_name(file):
    frame = wide().assign(label=LABELS, **{"9" * 5000: 1.0})
    source = read_table(write(frame, file), DataOptions())
    assert source.features == ("t",)


def test_two_sets_of_numbered_columns_are_two_features(file):
    frame = pd.concat([wide("x"), wide("y", values=-VALUES)], axis=1).assign(label=LABELS)
    source = read_table(write(frame, file), DataOptions())
    assert source.features == ("x", "y")
    for found, expected in zip(values_of(source), VALUES, strict=True):
        np.testing.assert_array_equal(found, np.stack([expected, -expected], axis=1))


def test_names_groups_and_splits_of_wide_tables(file):
    parts = ["train"] * 4 + ["val", "test"]
    frame = wide().assign(id=list("abcdef"), label=LABELS, who=list("ppqqrs"), part=parts, age=3.0)
    source = read_table(write(frame, file), DataOptions(group="who", split="part"))
    assert source.notes[1] == "ignored columns that are no time steps: age"
    records = list(source.records)
    assert [record.name for record in records] == list("abcdef")
    assert [record.group for record in records] == list("ppqqrs")
    assert [record.part for record in records] == [*["train"] * 4, "validation", "test"]


def test_empty_cells_at_the_end_of_a_row_are_padding(file):
    values = VALUES.copy()
    values[1, 5:] = values[2, 3] = np.nan
    found = values_of(
        read_table(write(wide(values=values).assign(label=LABELS), file), DataOptions())
    )
    assert [len(steps) for steps in found] == [12, 5, 12, 12, 12, 12]
    np.testing.assert_array_equal(found[2][:, 0], values[2])


def test_an_empty_row_is_refused(file):
    values = VALUES.copy()
    values[1] = np.nan
    path = write(wide(values=values).assign(label=LABELS), file)
    with pytest.raises(DataError, match=r"(line 3|row 1): 't' is missing"):
        values_of(read_table(path, DataOptions()))


def test_channels_of_a_table_with_a_row_for_each_step_stay_features(file):
    frame = wide("ch").assign(id=list("aaabbb"), label=["u"] * 3 + ["v"] * 3)
    source = read_table(write(frame, file), DataOptions())
    assert source.features == tuple(f"ch{n}" for n in range(12))
    assert len(values_of(source)) == 2
    timed = wide("ch").assign(time=range(6), label=LABELS)
    with pytest.raises(DataError, match="none of them a usual name for the sequence"):
        read_table(write(timed, file), DataOptions())
    few = wide("ch", values=VALUES[:, :9]).assign(label=LABELS)
    with pytest.raises(DataError, match="none of them a usual name for the sequence"):
        read_table(write(few, file), DataOptions())


def test_a_sequence_with_two_rows_is_refused(tmp_path, monkeypatch):
    frame = wide().assign(id=list("abcdea"), label=LABELS)
    monkeypatch.setattr("bothways.data.readers.tables.arrow.BLOCK_BYTES", 8 * 3)
    path = write(frame, tmp_path / "x.parquet")
    with pytest.raises(DataError, match="row 5: sequence 'a' has a second row"):
        values_of(read_table(path, DataOptions()))


def lists(lengths=(3, 5, 2)):
    return pd.DataFrame(
        {
            "id": list("abc"),
            "x": [np.arange(n, dtype=float) for n in lengths],
            "y": [np.arange(n) + 10 for n in lengths],
            "label": ["u", "v", "u"],
        }
    )


def test_list_columns_of_parquet_hold_steps(tmp_path):
    source = read_table(write(lists(), tmp_path / "x.parquet"), DataOptions())
    assert source.features == ("x", "y")
    records = list(source.records)
    assert [(record.name, record.label) for record in records] == [
        ("a", "u"),
        ("b", "v"),
        ("c", "u"),
    ]
    for record, length in zip(records, (3, 5, 2), strict=True):
        steps = np.arange(length)
        np.testing.assert_array_equal(record.values, np.stack([steps, steps + 10], axis=1))
    named = read_table(tmp_path / "x.parquet", DataOptions(features=("y",)))
    np.testing.assert_array_equal(values_of(named)[2], [[10], [11]])


def test_a_list_of_times_is_no_feature(tmp_path):
    frame = lists().assign(time=[[1, 2, 4], [1, 2, 3, 4, 5], [0, 9]])
    source = read_table(write(frame, tmp_path / "x.parquet"), DataOptions())
    assert source.features == ("x", "y")
    assert [record.times.tolist() for record in source.records] == frame["time"].tolist()
    frame["time"] = [[1, 2, 4], [1, 2, 3, 5, 4], [0, 9]]
    with pytest.raises(DataError, match="row 1: 'time' has 5 times for 5 steps; expected one for"):
        values_of(read_table(write(frame, tmp_path / "x.parquet"), DataOptions()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": [[1], [2], [3]]}, "row 0: x, y have 3, 1 values; expected as many of each"),
        ({"x": [[1.0], None, [2.0]], "y": [[1], None, [2]]}, "row 1: 'x' is missing"),
        ({"x": [[1.0], [], [2.0]], "y": [[1], [], [2]]}, "row 1: 'x' is missing"),
    ],
)
def test_lists_that_do_not_fit_are_refused(tmp_path, change, message):
    path = write(lists().assign(**change), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=message):
        values_of(read_table(path, DataOptions()))


def test_lists_of_times_alone_are_refused(tmp_path):
    frame = lists()[["label"]].assign(time=[[1, 2, 4], [1, 2, 3], [0, 9]])
    with pytest.raises(
        DataError, match=r"x\.parquet has columns label, time, none of them a usual"
    ):
        read_table(write(frame, tmp_path / "x.parquet"), DataOptions())


@pytest.mark.parametrize("kind", ["wide", "lists"])
def test_a_model_predicts_from_such_a_table(tmp_path, kind):
    if kind == "wide":
        train_on = write(wide("").assign(label=LABELS), tmp_path / "x.csv")
        new = write(wide("").sample(frac=1, axis=1, random_state=1), tmp_path / "new.csv")
    else:
        frame = pd.concat([lists(), lists()], ignore_index=True).assign(id=list("abcdef"))
        train_on = write(frame, tmp_path / "x.parquet")
        new = write(frame.drop(columns="label")[["y", "id", "x"]], tmp_path / "new.parquet")
    dataset = open_dataset(str(train_on))
    train(dataset, out=tmp_path / "run", validation_fraction=0.0, **SMALL)
    model = load(tmp_path / "run")
    reading = model.manifest.preprocessing.reading
    (piece,) = read_pieces(new, dataset.train.input_size, reading).pieces
    np.testing.assert_array_equal(piece.sequences.steps, dataset.train.steps)
    np.testing.assert_array_equal(
        model.predict_proba(piece.sequences), model.predict_proba(dataset.train)
    )
