import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bothways.data.options import DataOptions
from bothways.data.readers.tables import read_table
from bothways.errors import DataError


def write(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_ignored_columns_are_named_with_what_to_do(tmp_path):
    lines = ["id,x,word,dev,label", "a,1,foo,d1,u", "b,2,bar,d2,v"]
    notes = read_table(write(tmp_path / "x.csv", lines), DataOptions()).notes
    assert notes == [
        "guessed: sequence 'id'; label 'label'; features x",
        "ignored non-numeric columns: word, dev (add --categorical word,dev to use them as "
        "features, or --group for a column of groups, such as persons)",
    ]


@pytest.mark.parametrize(
    ("sequence", "label"), [("recording_id", "gesture"), ("session_id", "activity")]
)
def test_usual_names_are_recognized(tmp_path, sequence, label):
    path = write(tmp_path / "x.csv", [f"x,{label},{sequence}", "1,u,a", "2,v,b"])
    source = read_table(path, DataOptions())
    assert source.notes == [f"guessed: sequence {sequence!r}; label {label!r}; features x"]


@pytest.mark.parametrize("words", [("true", "false"), ("True", "False"), ("TRUE", "FALSE")])
def test_a_boolean_column_of_csv_is_a_feature(tmp_path, words):
    lines = ["id,x,on,label", f"a,1,{words[0]},u", f"b,2,{words[1]},v", "c,3,,v"]
    source = read_table(write(tmp_path / "x.csv", lines), DataOptions())
    assert source.features == ("x", "on")
    found = np.concatenate([record.values for record in source.records])
    np.testing.assert_array_equal(found, [[1, 1], [2, 0], [3, np.nan]])


def test_a_boolean_or_decimal_column_of_parquet_is_a_feature(tmp_path):
    table = {"id": ["a", "b"], "on": [True, None], "label": ["u", "v"]}
    table["price"] = pa.array([1, 2], pa.int32()).cast(pa.decimal128(20, 2))
    pq.write_table(pa.table(table), tmp_path / "x.parquet")
    source = read_table(tmp_path / "x.parquet", DataOptions())
    assert source.features == ("on", "price")
    found = np.concatenate([record.values for record in source.records])
    np.testing.assert_array_equal(found, [[1, 1], [np.nan, 2]])


def test_a_word_in_a_boolean_column_is_named(tmp_path, monkeypatch):
    rows = ["a,1,true,u"] * 20 + ["b,2,perhaps,v"]
    path = write(tmp_path / "x.csv", ["id,x,on,label", *rows])
    monkeypatch.setattr("bothways.data.readers.tables.arrow.BLOCK_BYTES", 100)
    with pytest.raises(DataError, match="line 22: column 'on' holds 'perhaps'; expected true or f"):
        list(read_table(path, DataOptions()).records)


@pytest.mark.parametrize("cell", ["12 km/h", "80%", "1 234", "1,234", "21.5°C"])
def test_numbers_with_units_or_separators_are_named_with_an_example(tmp_path, cell):
    lines = ["id;x;speed;label", f"a;1;{cell};u", f"b;2;{cell};v"]
    source = read_table(write(tmp_path / "x.csv", lines), DataOptions())
    assert source.features == ("x",)
    assert f"ignored non-numeric columns: speed ({cell!r}) (add" in source.notes[1]
    with pytest.raises(DataError, match=r"holds .*; expected a number. Fix it \(remove units"):
        list(read_table(tmp_path / "x.csv", DataOptions(features=("x", "speed"))).records)


def test_a_table_without_features_says_what_was_ignored(tmp_path):
    path = write(tmp_path / "x.csv", ["id,speed,label", "a,12 km/h,u", "b,13 km/h,v"])
    with pytest.raises(DataError, match=r"no numeric feature besides id, label.*'12 km/h'"):
        read_table(path, DataOptions())


def test_a_missing_cell_is_not_taken_for_a_stray_word(tmp_path):
    rows = [f"a,{n},{n % 3},u" for n in range(9)]
    path = write(tmp_path / "x.csv", ["id,x,y,label", "a,NA,1,u", "a,,1,u", *rows, "b,foo,1,v"])
    with pytest.raises(DataError, match="line 13: column 'x' holds 'foo' but numbers in most rows"):
        read_table(path, DataOptions())
