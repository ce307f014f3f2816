import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.data.readers.tables import read_table
from bothways.data.summary import inspect_dataset
from bothways.errors import DataError
from bothways.models.pieces import read_pieces
from bothways.models.predict_files import predict_files
from bothways.training.run import train
from bothways.training.run_evaluation import evaluate_splits

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
    monkeypatch.setattr(
        "bothways.data.readers.tables.arrow.BLOCK_BYTES", 8 * columns * rows_of_a_block
    )
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
        ([HEADER, "a,0,1,1,walk", "a,1,1,1,run"], r"line 3: label is 'run' but 'walk' before"),
        ([HEADER, "a,0,1,1,walk", ",1,1,1,walk"], r"line 3: 'id' is missing"),
        ([HEADER, "a,0,1,1,"], r"line 2: 'label' is missing"),
        ([HEADER], r"has no rows"),
        ([""], r"empty"),
        (["id,t,label", "a,0,walk"], r"no numeric feature besides id, label, t"),
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
    monkeypatch.setattr("bothways.data.readers.tables.arrow.BLOCK_BYTES", 1000)
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
    with pytest.raises(DataError, match="column 'label' has type string; expected numbers"):
        records(as_parquet(csv), features=("ax", "label"), label="t", time="ay")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence": "ID"}, "has no column 'ID'; did you mean 'id'. Expected --sequence to be"),
        ({"sequence": "who"}, "has no column 'who'; expected --sequence to be one of id, t"),
        ({"features": ("ax", "az")}, "feature 'az' is not a column; expected one of ax, ay"),
        ({"features": ("AX",)}, "feature 'AX' is not a column; did you mean 'ax'"),
        ({"features": ("ax", "ax")}, "feature 'ax' is named twice"),
        ({"features": ("t",)}, "feature 't' has another role"),
    ],
)
def test_columns_that_are_not_there(csv, options, message):
    with pytest.raises(DataError, match=message):
        records(csv, **options)


def test_split_and_group_columns(tmp_path):
    lines = ["id,x,label,who,part"]
    for n in range(12):
        part = "train" if n < 8 else "val" if n < 10 else "test"
        lines += [f"s{n},{step}.5,{'ab'[n % 2]},p{n // 2},{part}" for step in range(3)]
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
    write(path, [line.replace(",train", ",tarin") for line in lines])
    with pytest.raises(DataError, match="line 2: split is 'tarin'; did you mean 'train'"):
        open_dataset(str(path), DataOptions(group="who", split="part"))


def test_ignored_columns_are_reported_with_an_example(tmp_path):
    lines = ["id,x,on,word,price,label", "a,1,true,foo,3 V,u", "b,2,false,bar,4 V,v"]
    source = read_table(write(tmp_path / "x.csv", lines), DataOptions())
    assert source.features == ("x", "on")
    assert source.notes[1] == (
        "ignored non-numeric columns: word, price ('3 V') (add --categorical word,price to use "
        "them)"
    )


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
    unlabeled = write(tmp_path / "new.csv", ["id,t,ay,ax", "z,0,10,1", "z,1,20,2"])
    (piece,) = read_pieces(unlabeled, 2, reading).pieces
    assert [r.name for r in piece.records] == ["z"]
    np.testing.assert_array_equal(piece.sequences.steps, [[1, 10], [2, 20]])
    with pytest.raises(DataError, match="feature 'ay' is not a column"):
        read_pieces(write(tmp_path / "bad.csv", ["id,t,ax", "z,0,1"]), 2, reading)


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
    with pytest.raises(DataError, match="is not in UTF-8; expected UTF-8"):
        read_table(tmp_path / "x.csv", DataOptions())


def test_a_missing_value_is_named_with_its_line_in_training(tmp_path):
    path = write(tmp_path / "x.csv", ["id,x,label", "a,1,u", "b,,v", "c,3,u", "d,4,v"])
    with pytest.raises(DataError, match=r"x\.csv, .*: 'x' is missing at step 0.*set missing=mean"):
        open_dataset(str(path), missing=False)
    assert open_dataset(str(path)).train.steps.isnan().any()


def signal_rows(sequences=6, steps=10):
    """Return (sequence, time, value, label) rows whose values are not in order."""
    return [
        (f"s{n}", step, (7 * step + 3 * n) % 11, "ab"[n % 2])
        for n in range(sequences)
        for step in range(steps)
    ]


INDEX_NAMES = ["", "Unnamed: 0", "index", "level_0", "row", "__index_level_0__", "counter"]


@pytest.mark.parametrize("name", INDEX_NAMES)
@pytest.mark.parametrize("first", [0, 1, 1000])
@pytest.mark.parametrize("scope", ["table", "sequence", "shuffled"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.pairwise
def test_a_column_that_counts_rows_is_no_feature(tmp_path, name, first, scope, ending):
    frame = pd.DataFrame(signal_rows(), columns=["id", "t", "x", "label"])
    numbers = np.arange(len(frame)) if scope == "table" else frame["t"].to_numpy()
    frame.insert(0, name, first + numbers)
    if scope == "shuffled":
        frame = frame.sample(frac=1, random_state=0)
    path = tmp_path / f"x.{ending}"
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path, index=False)
    source = read_table(path, DataOptions())
    assert source.features == ("x",)
    assert any("ignored columns that count rows" in note for note in source.notes)
    assert read_table(path, DataOptions(features=(name, "x"))).features == (name, "x")


def test_the_index_that_pandas_writes_changes_no_value(tmp_path):
    frame = pd.DataFrame(signal_rows(), columns=["id", "t", "x", "label"])
    frame.to_csv(tmp_path / "with.csv")
    frame.to_csv(tmp_path / "without.csv", index=False)
    for mine, other in zip(
        records(tmp_path / "with.csv"), records(tmp_path / "without.csv"), strict=True
    ):
        np.testing.assert_array_equal(mine.values, other.values)


@pytest.mark.parametrize("convert", [lambda path: path, as_parquet], ids=["csv", "parquet"])
@pytest.mark.parametrize("kind", ["shuffled", "interleaved", "reversed"])
def test_rows_out_of_order_are_sorted(tmp_path, kind, convert):
    frame = pd.DataFrame(signal_rows(), columns=["id", "t", "x", "label"])
    expected = records(write_frame(frame, tmp_path / "expected.csv"))
    mixed = {
        "shuffled": frame.sample(frac=1, random_state=1),
        "interleaved": frame.sort_values("t", kind="stable"),
        "reversed": frame[::-1],
    }[kind]
    source = read_table(convert(write_frame(mixed, tmp_path / "mixed.csv")), DataOptions())
    found = sorted(source.records, key=lambda record: record.name)
    assert source.notes[-1].startswith("sorted the rows by sequence and time: ")
    for mine, other in zip(found, expected, strict=True):
        assert (mine.name, mine.label) == (other.name, other.label)
        np.testing.assert_array_equal(mine.values, other.values)
        np.testing.assert_array_equal(mine.times, other.times)


def write_frame(frame, path):
    frame.to_csv(path, index=False)
    return path


def test_rows_in_order_are_not_sorted_and_sequences_keep_their_order(tmp_path):
    rows = [f"{name},{t},{t * t},u" for name in ("z", "a", "m") for t in range(3)]
    source = read_table(write(tmp_path / "x.csv", ["id,t,x,label", *rows]), DataOptions())
    assert [record.name for record in source.records] == ["z", "a", "m"]
    assert not any("sorted" in note for note in source.notes)


def test_without_a_time_nothing_orders_the_rows(tmp_path):
    path = write(tmp_path / "x.csv", ["id,x,label", "a,1,u", "b,5,v", "a,3,u"])
    with pytest.raises(DataError, match=r"line 4: sequence 'a' continues.*name the column of time"):
        records(path)


def test_the_line_of_an_error_is_that_of_the_unsorted_file(tmp_path):
    path = write(tmp_path / "x.csv", ["id,t,x,label", "a,1,5,u", "b,0,6,v", "a,0,7,w"])
    with pytest.raises(DataError, match=r"line 2: label is 'u' but 'w' before"):
        records(path)


@pytest.mark.parametrize("base", [1.7e9, -4.2e8, 1.7e12])
@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_large_constant_does_not_swallow_the_signal(tmp_path, base, ending):
    rows = signal_rows()
    frame = pd.DataFrame(rows, columns=["id", "t", "x", "label"])
    frame["x"] = base + frame["x"] / 8
    path = tmp_path / f"x.{ending}"
    if ending == "csv":
        frame.to_csv(path, index=False)
    elif ending == "parquet":
        frame.to_parquet(path, index=False)
    else:
        lines = [
            json.dumps({"values": own["x"].tolist(), "label": own["label"].iloc[0]})
            for _, own in frame.groupby("id")
        ]
        path.write_text("\n".join(lines))
    dataset = open_dataset(str(path))
    (offset,) = dataset.offsets
    found = dataset.train.steps[:, 0].double().numpy() + offset
    np.testing.assert_allclose(found, frame["x"], rtol=0, atol=1e-6)
    (summary,) = inspect_dataset(dataset).features
    assert (summary.low, summary.high) == (frame["x"].min(), frame["x"].max())


def test_a_model_subtracts_at_prediction_what_it_subtracted_in_training(tmp_path):
    frame = pd.DataFrame(signal_rows(20), columns=["id", "t", "x", "label"])
    frame["x"] = 1.7e9 + frame["x"] + 5 * (frame["label"] == "b")
    write_frame(frame, tmp_path / "x.csv")
    run = train(
        str(tmp_path / "x.csv"),
        out=tmp_path / "run",
        epochs=15,
        stem_channels=None,
        seed=0,
        validation_fraction=0.0,
    )
    model = run.load()
    assert run.metrics.train.accuracy == 1
    arrays = [own[["x"]].to_numpy() for _, own in frame.groupby("id", sort=False)]
    labels = [own["label"].iloc[0] for _, own in frame.groupby("id", sort=False)]
    assert model.predict(arrays).tolist() == labels
    answers = predict_files(model, [tmp_path / "x.csv"], print)
    assert [answer.label for answer in answers] == labels
    assert evaluate_splits(model, tmp_path / "run")["train"].accuracy == 1


def test_ordinary_features_are_taken_as_they_are(csv):
    assert open_dataset(str(csv)).offsets == ()


@pytest.mark.parametrize("words", [("true", "false"), ("True", "False")])
def test_true_and_false_are_1_and_0(tmp_path, words):
    yes, no = words
    path = write(tmp_path / "x.csv", ["id,on,label", f"a,{yes},u", f"a,{no},u", f"b,{yes},v"])
    first, second = records(path)
    np.testing.assert_array_equal(first.values, [[1], [0]])
    np.testing.assert_array_equal(second.values, [[1]])
    np.testing.assert_array_equal(records(as_parquet(path))[0].values, [[1], [0]])


def test_decimal_commas_are_recognized_or_told(tmp_path):
    path = write(tmp_path / "x.csv", ["id;x;label", "a;1,5;u", "a;-2,25;u", "b;3,0;v"])
    source = read_table(path, DataOptions())
    first, _ = source.records
    np.testing.assert_array_equal(first.values, [[1.5], [-2.25]])
    assert any("decimal commas" in note for note in source.notes)
    (told, _) = records(path, decimal=",")
    np.testing.assert_array_equal(told.values, first.values)
    with pytest.raises(DataError, match=r"no numeric feature.*x \('1,5'\)"):
        records(path, decimal=".")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_byte_order_marks_state_the_encoding(tmp_path, csv, encoding):
    mark = "\ufeff" if encoding.endswith(("le", "be")) else ""
    text = mark + csv.read_text().replace("walk", "géhen")
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode(encoding))
    first, second = records(path)
    assert (first.label, second.label) == ("géhen", "run")
    np.testing.assert_array_equal(first.values, [[1, 10], [2, 20]])


@pytest.mark.parametrize("suffix", ["gz", "bz2", "zst"])
def test_compressed_tables(tmp_path, csv, suffix):
    path = tmp_path / f"steps.csv.{suffix}"
    with pa.output_stream(
        str(path), compression={"zst": "zstd", "gz": "gzip"}.get(suffix, suffix)
    ) as file:
        file.write(csv.read_bytes())
    expected = records(csv)
    for mine, other in zip(records(path), expected, strict=True):
        np.testing.assert_array_equal(mine.values, other.values)
    assert open_dataset(str(path)).name == path.name
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DataError, match=f"steps.csv.{suffix}"):
        records(path)


def test_a_folder_of_parquet_files_is_one_table(tmp_path, csv):
    frame = pd.read_csv(csv)
    folder = tmp_path / "parts"
    folder.mkdir()
    frame[:3].to_parquet(folder / "part-0.parquet")
    frame[3:].to_parquet(folder / "part-1.parquet")
    for mine, other in zip(records(folder), records(csv), strict=True):
        np.testing.assert_array_equal(mine.values, other.values)
    assert len(open_dataset(str(folder)).train) == 2


@pytest.mark.parametrize("first", ["int64", "float64", "int8"])
def test_the_numbers_of_a_folder_may_have_different_types(tmp_path, csv, first):
    frame = pd.read_csv(csv)
    folder = tmp_path / "parts"
    folder.mkdir()
    shuffled = frame.sample(frac=1, random_state=0)  # sorting joins blocks of several files
    halves = [shuffled[:3].assign(t=shuffled.t[:3].astype(first)), shuffled[3:]]
    for n, half in enumerate(halves):
        half.to_parquet(folder / f"part-{n}.parquet")
    found = {record.name: record.values for record in records(folder)}
    for expected in records(csv):
        np.testing.assert_array_equal(found[expected.name], expected.values)


@pytest.mark.parametrize("values", [["a", "b"], pd.to_timedelta([1, 2], unit="s"), [[1.0], [2.0]]])
def test_another_type_in_one_file_of_a_folder_is_refused(tmp_path, csv, values):
    frame = pd.read_csv(csv)
    folder = tmp_path / "parts"
    folder.mkdir()
    frame.to_parquet(folder / "part-0.parquet")
    frame[:2].assign(ax=values).to_parquet(folder / "part-1.parquet")
    with pytest.raises(
        DataError, match=r"part-1\.parquet: column 'ax' has type .*; expected (double|int64), as in"
    ):
        records(folder)
