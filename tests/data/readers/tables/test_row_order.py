import numpy as np
import pandas as pd
import pytest

from bothways.data.options import DataOptions
from bothways.data.readers.tables import read_table
from bothways.errors import DataError
from bothways.models.pieces import read_pieces


def frame(lengths=(7, 3, 9, 5), seed=0):
    """Return sequences c, a, d, b; the value of a step is its time, and 100 for each sequence."""
    names = np.repeat(list("cadb"), lengths)
    times = np.concatenate([np.arange(length) for length in lengths])
    values = times * times + 100 * np.repeat(np.arange(4), lengths)
    label = np.repeat(["u", "v", "u", "v"], lengths)
    return pd.DataFrame({"id": names, "t": times, "x": values, "label": label})


def interleaved(table):
    return table.sort_values("t", kind="stable")


def shuffled(table):
    return table.sample(frac=1, random_state=3)


def reversed_times(table):
    return table.iloc[::-1]


def write(table, path):
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return path


def contents(source):
    return {
        record.name: (record.label, record.values[:, 0].tolist(), np.asarray(record.times).tolist())
        for record in source.records
    }


@pytest.fixture(params=["csv", "parquet"])
def file(request, tmp_path):
    return tmp_path / f"x.{request.param}"


@pytest.mark.parametrize("change", [interleaved, shuffled, reversed_times])
def test_rows_out_of_order_are_sorted(file, change):
    expected = contents(read_table(write(frame(), file), DataOptions()))
    source = read_table(write(change(frame()), file), DataOptions())
    assert source.notes[-1].startswith(f"sorted the rows by sequence and time: {file}, ")
    assert contents(source) == expected


@pytest.mark.parametrize("memory", [True, False], ids=["memory", "file"])
@pytest.mark.parametrize("block_bytes", [64, 200, 1 << 20])
def test_sorting_over_blocks_and_in_a_file(tmp_path, monkeypatch, block_bytes, memory):
    monkeypatch.setattr("bothways.data.readers.tables.arrow.BLOCK_BYTES", block_bytes)
    expected = contents(read_table(write(frame(), tmp_path / "x.parquet"), DataOptions()))
    path = write(shuffled(frame()), tmp_path / "x.parquet")
    options = DataOptions(sort=not memory)
    if not memory:
        options = options.model_copy(update={"memory_mb": 0})
    assert contents(read_table(path, options)) == expected


def test_sequences_keep_the_order_of_their_first_rows(file):
    source = read_table(write(interleaved(frame()), file), DataOptions())
    assert [record.name for record in source.records] == ["c", "a", "d", "b"]


def test_a_table_in_order_is_not_sorted(file):
    notes = read_table(write(frame(), file), DataOptions(sort=True)).notes
    assert len(notes) == 1
    assert "sorted" not in notes[0]


def test_a_table_too_large_to_sort_says_so(file):
    path = write(interleaved(frame()), file)
    options = DataOptions().model_copy(update={"memory_mb": 0})
    with pytest.raises(DataError, match=r"sequence 'c' continues after .*takes more than --memory"):
        list(read_table(path, options).records)


def test_rows_apart_without_a_time_are_refused_unless_told(tmp_path):
    path = write(interleaved(frame()).drop(columns="t"), tmp_path / "x.csv")
    with pytest.raises(DataError, match=r"line 6: sequence 'c' continues .* with --sort"):
        read_table(path, DataOptions())
    found = {
        record.name: record.values[:, 0].tolist()
        for record in read_table(path, DataOptions(sort=True)).records
    }
    assert found["a"] == [100, 101, 104]


def test_equal_times_out_of_order_are_refused_unless_told(tmp_path):
    table = frame().assign(t=lambda f: f["t"] // 2)
    path = write(reversed_times(table), tmp_path / "x.csv")
    with pytest.raises(
        DataError, match=r"line \d+ and .*, line \d+ have the same sequence and the sa"
    ):
        list(read_table(path, DataOptions()).records)
    assert len(list(read_table(path, DataOptions(sort=True)).records)) == 4


def test_interleaved_rows_with_equal_times_keep_their_order(tmp_path):
    table = frame((4, 4, 4, 4)).assign(row=range(16))
    table = table.sort_values("t", kind="stable").assign(t=lambda f: f["t"] // 2)
    path = write(table, tmp_path / "x.csv")
    found = {
        record.name: record.values[:, 0].tolist()
        for record in read_table(path, DataOptions()).records
    }
    assert found["c"] == [0, 1, 4, 9]


def test_the_line_of_a_fault_in_a_sorted_table_is_that_of_the_file(tmp_path):
    table = interleaved(frame())
    table.iloc[9, 3] = "w"
    path = write(table, tmp_path / "x.csv")
    assert path.read_text().splitlines()[10].endswith("w")
    with pytest.raises(DataError, match=r"line 11: label is 'w' but"):
        list(read_table(path, DataOptions()).records)


def test_time_stamps_order_rows(tmp_path):
    table = frame().assign(t=lambda f: pd.Timestamp("2026-01-31") + pd.to_timedelta(f["t"], "min"))
    path = write(shuffled(table), tmp_path / "x.parquet")
    records = list(read_table(path, DataOptions()).records)
    assert sorted(len(record.values) for record in records) == [3, 5, 7, 9]
    for record in records:
        assert (np.diff(record.values[:, 0]) > 0).all()


def test_prediction_sorts_as_well(tmp_path):
    path = write(interleaved(frame()).drop(columns="label"), tmp_path / "x.csv")
    (piece,) = read_pieces(path, 1, DataOptions(features=("x",))).pieces
    assert [r.name for r in piece.records] == ["c", "a", "d", "b"]
    assert piece.sequences.steps[7:10, 0].tolist() == [100, 101, 104]
