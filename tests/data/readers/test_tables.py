import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.data.readers.tables import read_table
from bothways.data.readers.unlabelled import read_unlabelled
from bothways.errors import DataError

HEADER = "id,t,ax,ay,label"
ROWS = ["a,0,1,10,walk", "a,1,2,20,walk", "b,0,3,30,run", "b,1,,40,run", "b,2,5,50,run"]


def write(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def csv(tmp_path):
    return write(tmp_path / "steps.csv", [HEADER, *ROWS])


def as_parquet(csv_path):
    path = csv_path.with_suffix(".parquet")
    from pyarrow import csv

    pq.write_table(csv.read_csv(csv_path), path)
    return path


def records(path, **options):
    return list(read_table(path, DataOptions(**options)).records)


@pytest.mark.parametrize("convert", [lambda path: path, as_parquet], ids=["csv", "parquet"])
def test_a_record_is_the_rows_of_a_sequence(csv, convert):
    path = convert(csv)
    first, second = records(path)
    assert (first.name, first.label, second.name, second.label) == ("a", "walk", "b", "run")
    np.testing.assert_array_equal(first.values, [[1, 10], [2, 20]])
    np.testing.assert_array_equal(second.values, [[3, 30], [np.nan, 40], [5, 50]])
    np.testing.assert_array_equal(second.times, [0, 1, 2])
    assert second.place == "sequence 'b'"


def test_what_was_guessed_is_said(csv):
    source = read_table(csv, DataOptions())
    assert source.notes == ["guessed: sequence 'id'; time 't'; label 'label'; features ax, ay"]
    assert source.features == ("ax", "ay")
    told = DataOptions(sequence="id", time="t", label="label", features=("ay",))
    assert read_table(csv, told).notes == []
    assert read_table(csv, told).features == ("ay",)


@pytest.mark.parametrize("sign", [";", "\t"])
def test_other_delimiters(tmp_path, csv, sign):
    path = write(tmp_path / "other.csv", [line.replace(",", sign) for line in [HEADER, *ROWS]])
    assert len(records(path)) == 2


@pytest.mark.parametrize("rows_of_a_block", [1, 2, 3])
def test_sequences_go_on_from_block_to_block(csv, rows_of_a_block, monkeypatch):
    path = as_parquet(csv)
    whole = records(path)
    columns = len(HEADER.split(","))
    monkeypatch.setattr("bothways.data.readers.columns.BLOCK_BYTES", 8 * columns * rows_of_a_block)
    for mine, expected in zip(records(path), whole, strict=True):
        assert (mine.name, mine.label, mine.place) == (
            expected.name,
            expected.label,
            expected.place,
        )
        np.testing.assert_array_equal(mine.values, expected.values)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEADER, *ROWS, "a,2,1,1,walk"], r"csv, line 7: sequence 'a' goes on after others"),
        ([HEADER, "a,0,1,1,walk", "a,1,1,1,run"], r"line 3: label is 'run' but 'walk' before"),
        ([HEADER, "a,1,1,1,walk", "a,0,1,1,walk"], r"line 3: time 't' goes back in sequence 'a'"),
        ([HEADER, "a,0,1,1,walk", ",1,1,1,walk"], r"line 3: 'id' is missing"),
        ([HEADER, "a,0,1,1,"], r"line 2: 'label' is missing"),
        ([HEADER], r"has no rows"),
        ([""], r"empty"),
        (["id,t,label", "a,0,walk"], r"no column of numbers"),
        (["t,ax,label", "0,1,walk"], r"none of them a usual name for the sequence"),
        (["id,ax,ay", "a,1,2"], r"none of them a usual name for the label"),
        (["id,x,y", "a,1,2"], r"none of them a usual name for the label"),
        (["id,ax,ax,label", "a,1,2,x"], r"two columns 'ax'"),
        ([HEADER, "a,0,1,walk"], r"cannot be read as CSV \(.*Expected 5 columns, got 4"),
    ],
)
def test_malformed_tables_are_refused_in_one_line(tmp_path, lines, message):
    path = write(tmp_path / "steps.csv", lines)
    with pytest.raises(DataError, match=message) as caught:
        records(path)
    assert "\n" not in str(caught.value)


def test_a_word_among_numbers_is_named_with_its_line(tmp_path):
    path = write(tmp_path / "steps.csv", [HEADER, *ROWS, "c,0,fast,1,run"])
    with pytest.raises(DataError, match=r"line 7: column 'ax' holds 'fast'; expected a number"):
        records(path, features=("ax", "ay"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c,0,fast,1,run", "'ax' holds 'fast'; expected a number"),
        ("c,0,1,run", r"cannot be read as CSV \(Expected \d columns, got \d:"),
        (",0,1,1,run", "'id' is missing"),
        ("c,0,1,1,", "'label' is missing"),
        ("c,,1,1,run", "'t' is missing"),
        ("b,3,1,1,walk", "label is 'walk' but 'run' before"),
        ("b,1,1,1,run", "time 't' goes back"),
        ("a,2,1,1,walk", "sequence 'a' goes on after others"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize(
    ("lines", "number"),
    [
        ([HEADER, *ROWS], 7),
        (["", HEADER, "", *ROWS[:2], "", "", *ROWS[2:]], 11),
        ([HEADER.replace("label", '"label"'), *ROWS], 7),
        ([f"{HEADER},note", *(f'{row},"one\n""two""\n\n"' for row in ROWS)], 22),
    ],
    ids=["plain", "blank lines", "quotes", "quoted line breaks"],
)
def test_the_line_is_right_after_blank_lines_and_quoted_line_breaks(
    tmp_path, lines, number, end, row, message
):
    row += ",x" if lines[0].endswith("note") else ""
    path = tmp_path / "steps.csv"
    text = "\n".join([*lines, row]) + "\n"
    path.write_text(text, newline=end)
    assert text.split("\n")[number - 1] == row
    with pytest.raises(DataError, match=rf"steps\.csv, line {number}\b.*{message}"):
        records(path, features=("ax", "ay"))


def test_the_line_is_not_made_up_where_it_cannot_be_found(tmp_path):
    path = write(tmp_path / "steps.csv", [HEADER, "a,0,1,1," + "x" * 200_000, ",0,1,1,x"])
    with pytest.raises(DataError, match=r"steps\.csv, row 1: 'id' is missing"):
        records(path)


def test_mixed_encodings_are_refused(tmp_path, csv):
    path = tmp_path / "latin.csv"
    path.write_bytes(csv.read_bytes() + "c,0,1,1,südwärts\n".encode("latin-1"))
    with pytest.raises(DataError, match="not in UTF-8"):
        records(path)


def test_a_line_over_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("bothways.data.readers.columns.BLOCK_BYTES", 1000)
    path = write(tmp_path / "steps.csv", [HEADER, ROWS[0], "b,0,1,1," + "x" * 3000])
    with pytest.raises(DataError, match="longer than 1,000 bytes"):
        records(path)


@pytest.mark.parametrize("size", [0, 100, -20])
def test_a_truncated_parquet_file_is_refused(csv, size):
    path = as_parquet(csv)
    path.write_bytes(path.read_bytes()[: size or None][: 0 if size == 0 else None])
    with pytest.raises(DataError, match="is not a Parquet file, or is damaged"):
        records(path)


def test_text_in_a_feature_column_of_parquet_is_refused(csv):
    with pytest.raises(DataError, match="column 'label' holds string; expected numbers"):
        records(as_parquet(csv), features=("ax", "label"), label="t", time="ay")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence": "who"}, "has no column 'who'; expected --sequence to be one of id, t"),
        ({"features": ("ax", "az")}, "feature 'az' is no column"),
        ({"features": ("ax", "ax")}, "feature 'ax' is named twice"),
        ({"features": ("t",)}, "feature 't' has another part to play"),
    ],
)
def test_columns_that_are_not_there(csv, options, message):
    with pytest.raises(DataError, match=message):
        records(csv, **options)


def test_split_and_group_columns(tmp_path):
    lines = ["id,x,label,who,part"]
    for n in range(12):
        part = "train" if n < 8 else "val" if n < 10 else "test"
        lines += [f"s{n},{step},{'ab'[n % 2]},p{n // 2},{part}" for step in range(3)]
    path = write(tmp_path / "steps.csv", lines)
    dataset = open_dataset(str(path), DataOptions(group="who", split="part"))
    assert {name: len(part) for name, part in dataset.parts.items()} == {
        "train": 8,
        "validation": 2,
        "test": 2,
    }
    assert dataset.train.groups is not None
    lines[-1] = lines[-1].replace("p5", "p0")
    write(path, lines[:-3] + [line.replace("p5", "p0") for line in lines[-3:]])
    with pytest.raises(DataError, match="group 'p0' is in train and in test"):
        open_dataset(str(path), DataOptions(group="who", split="part"))


def test_columns_that_hold_no_numbers_are_said_to_be_left_out(tmp_path):
    lines = ["id,x,on,word,label", "a,1,true,foo,u", "b,2,false,bar,v"]
    (note,) = read_table(write(tmp_path / "x.csv", lines), DataOptions()).notes
    assert "features x; left out, for they hold no numbers: on, word (--categorical" in note


def test_a_column_may_have_two_roles_if_told(tmp_path):
    lines = ["id,t,x,label", "a,1,5,u", "b,2,6,v"]
    path = write(tmp_path / "x.csv", lines)
    first, second = records(path, group="id", label="t")
    assert (first.label, first.group, first.times, second.label) == ("1", "a", None, "2")


def test_times_of_day_and_classes_called_none(tmp_path):
    lines = ["id,t,x,label", "a,09:30:00,5,None", "a,09:31:00,6,None", "b,09:30:00,6,NA"]
    first, second = records(write(tmp_path / "x.csv", lines))
    assert first.times[1] - first.times[0] == 60
    assert (first.label, second.label) == ("None", "NA")


def test_endings_in_capitals(csv):
    path = as_parquet(csv)
    assert len(records(path.rename(path.with_suffix(".PARQUET")))) == 2


def test_prediction_needs_no_label_and_the_columns_of_training(csv, tmp_path):
    reading = DataOptions(sequence="id", time="t", features=("ax", "ay"))
    unlabelled = write(tmp_path / "new.csv", ["id,t,ay,ax", "z,0,10,1", "z,1,20,2"])
    (piece,) = read_unlabelled(unlabelled, 2, reading)
    assert piece.names == ["z"]
    np.testing.assert_array_equal(piece.sequences.steps, [[1, 10], [2, 20]])
    with pytest.raises(DataError, match="feature 'ay' is no column"):
        read_unlabelled(write(tmp_path / "bad.csv", ["id,t,ax", "z,0,1"]), 2, reading)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pa.duration("ms"), [0.001, 0.002]),
        (pa.time32("s"), [1, 2]),
        (pa.time64("us"), [1e-6, 2e-6]),
        (pa.decimal128(20, 1), [1.0, 2.0]),
        (pa.int16(), [1, 2]),
        (pa.date32(), np.array(["1970-01-02", "1970-01-03"], "datetime64[D]")),
    ],
    ids=str,
)
def test_times_of_every_kind(tmp_path, kind, expected):
    times = pa.array([1, 2], pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)
    table = pa.table({"id": ["a", "a"], "t": times, "x": [0.0, 1.0], "label": ["u", "u"]})
    pq.write_table(table, tmp_path / "x.parquet")
    (record,) = read_table(tmp_path / "x.parquet", DataOptions()).records
    np.testing.assert_array_equal(record.times, expected)


def test_times_that_are_none_are_refused(tmp_path):
    table = pa.table({"id": ["a", "a"], "t": [False, True], "x": [0.0, 1.0], "label": ["u", "u"]})
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(DataError, match="time 't' is False; expected numbers or time stamps"):
        list(read_table(tmp_path / "x.parquet", DataOptions()).records)


def test_a_label_that_is_nan_is_none(tmp_path):
    table = pa.table({"id": ["a"] * 3, "x": [0.0, 1, 2], "label": [0.0, np.nan, 1.0]})
    pq.write_table(table, tmp_path / "x.parquet")
    (record,) = read_table(tmp_path / "x.parquet", DataOptions(target="step")).records
    assert record.step_labels.tolist() == ["0", "", "1"]


def test_a_stray_text_among_numbers_is_no_column_of_names(tmp_path):
    rows = [f"a,{n},{n},u" for n in range(5)] + ["b,foo,1,v"] + [f"c,{n},2,v" for n in range(5)]
    path = write(tmp_path / "x.csv", ["id,x,y,label", *rows])
    with pytest.raises(DataError, match="line 7: column 'x' holds 'foo' but numbers in most rows"):
        read_table(path, DataOptions())
    assert read_table(path, DataOptions(features=("y",))).features == ("y",)


def test_a_time_that_is_unlike_the_others_is_named(tmp_path):
    path = write(tmp_path / "x.csv", ["id,t,x,label", "a,0,1,u", "a,2020-01-01,1,u", "a,2,1,u"])
    with pytest.raises(DataError, match="line 3: time 't' is '2020-01-01'"):
        list(read_table(path, DataOptions()).records)
    gap = pa.table({"id": ["a", "a"], "t": [0.0, np.nan], "x": [1.0, 2.0], "label": ["u", "u"]})
    pq.write_table(gap, tmp_path / "x.parquet")
    with pytest.raises(DataError, match="'t' is missing; expected a value"):
        list(read_table(tmp_path / "x.parquet", DataOptions()).records)


@pytest.mark.parametrize("labels", [[b"\xff", b"\xfe"], [["u"], ["v"]]], ids=["bytes", "lists"])
def test_labels_that_are_no_text_are_refused(tmp_path, labels):
    table = pa.table({"id": ["a", "b"], "x": [0.0, 1.0], "label": labels})
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"column 'label' holds .*; expected text or numbers"):
        list(read_table(tmp_path / "x.parquet", DataOptions()).records)


def test_a_header_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "x.csv").write_bytes("id,é,label\na,1,u\n".encode("latin-1"))
    with pytest.raises(DataError, match="is not in UTF-8; expected it"):
        read_table(tmp_path / "x.csv", DataOptions())


def test_a_missing_value_is_named_with_its_line_in_training(tmp_path):
    path = write(tmp_path / "x.csv", ["id,x,label", "a,1,u", "b,,v", "c,3,u", "d,4,v"])
    with pytest.raises(DataError, match=r"x\.csv, .*: 'x' is missing at step 0.*set missing=mean"):
        open_dataset(str(path), missing=False)
    assert open_dataset(str(path)).train.steps.isnan().any()
