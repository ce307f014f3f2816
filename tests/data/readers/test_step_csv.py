import numpy as np
import pandas as pd
import pytest

from bothways import DataOptions, load, open_dataset, train
from bothways.data.readers.folders import read_folder
from bothways.errors import DataError
from bothways.models.pieces import read_pieces

RNG = np.random.default_rng(0)
SMALL = {"hidden_size": 4, "epochs": 1, "stem_channels": None, "batch_size": 8}


def frames(steps=8):
    return [
        pd.DataFrame(RNG.standard_normal((steps, 2)).round(3), columns=["x", "y"]) for _ in "abcd"
    ]


def write(folder, tables, **options):
    for n, table in enumerate(tables):
        file = folder / "uv"[n % 2] / f"{n}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(file, **options)
    return folder


def values_of(source):
    return {record.name: record.values for record in source.records}


@pytest.mark.parametrize("column", ["t", "time", "Timestamp", "step"])
def test_a_time_column_is_no_feature(tmp_path, column):
    tables = frames()
    timed = [table.assign(**{column: np.arange(8) / 50}) for table in tables]
    source = read_folder(write(tmp_path, timed, index=False), DataOptions())
    assert source.features == ("x", "y")
    assert source.notes == [f"guessed: time {column!r}; features x, y"]
    records = list(source.records)
    assert len(records) == len(tables)
    for record in records:
        np.testing.assert_array_equal(record.values, tables[int(record.name[2])])
        np.testing.assert_array_equal(record.times, np.arange(8) / 50)


@pytest.mark.parametrize("options", [{}, {"index_label": "row"}, {"index_label": "sample_no"}])
def test_the_index_is_no_feature(tmp_path, options):
    source = read_folder(write(tmp_path, frames(), **options), DataOptions())
    assert source.features == ("x", "y")
    name = options.get("index_label", "''")
    assert f"ignored columns that count rows: {name} (add --features to use them)" in source.notes


def test_a_count_in_files_without_a_header_is_no_feature(tmp_path):
    tables = frames()
    source = read_folder(write(tmp_path, tables, header=False), DataOptions())
    assert source.notes[-1].endswith("column 1 (add a header and --features to use them)")
    assert [record.values.tolist() for record in source.records] == [
        tables[n].to_numpy().tolist() for n in (0, 2, 1, 3)
    ]


def test_text_columns_are_ignored(tmp_path):
    tables = [table.assign(who="anna") for table in frames()]
    source = read_folder(write(tmp_path, tables, index=False), DataOptions())
    assert source.features == ("x", "y")
    assert source.notes == ["guessed: features x, y", "ignored non-numeric columns: who"]


def test_named_columns_are_used(tmp_path):
    tables = [table.assign(t=range(8), n=range(8)) for table in frames()]
    write(tmp_path, tables, index=False)
    source = read_folder(tmp_path, DataOptions(features=("n", "t", "y")))
    assert source.features == ("n", "t", "y")
    assert all((own[:, 1] == np.arange(8)).all() for own in values_of(source).values())
    named = read_folder(tmp_path, DataOptions(time="y"))
    assert named.features == ("x",)
    with pytest.raises(DataError, match="has no column 'z'; expected --features among x, y, t, n"):
        open_dataset(str(tmp_path), DataOptions(features=("z",)))
    with pytest.raises(DataError, match="has no column 'X'; did you mean 'x'"):
        open_dataset(str(tmp_path), DataOptions(features=("X",)))
    with pytest.raises(DataError, match="has no columns, so --label x has no meaning"):
        open_dataset(str(tmp_path), DataOptions(label="x"))


def test_columns_are_found_by_their_names(tmp_path):
    tables = frames()
    changed = [tables[0], *(table[["y", "x"]].assign(more="text") for table in tables[1:])]
    found = values_of(read_folder(write(tmp_path, changed, index=False), DataOptions()))
    for name, values in found.items():
        np.testing.assert_array_equal(values, tables[int(name[2])])
    (tmp_path / "v" / "1.csv").write_text("x,z\n1,2\n")
    with pytest.raises(DataError, match=r"1\.csv has columns x, z; expected 'y', as in the first"):
        values_of(read_folder(tmp_path, DataOptions()))


def test_steps_are_sorted_by_time(tmp_path):
    tables = [table.assign(t=pd.date_range("2026-01-31", periods=8)) for table in frames()]
    shuffled = [table.sample(frac=1, random_state=0) for table in tables]
    found = values_of(read_folder(write(tmp_path, shuffled, index=False), DataOptions()))
    np.testing.assert_array_equal(found["u/0.csv"], tables[0][["x", "y"]])


@pytest.mark.parametrize("sign", [";", "\t"])
@pytest.mark.parametrize("header", [True, False])
def test_decimal_commas(tmp_path, sign, header):
    tables = frames()
    write(tmp_path, tables, index=False, sep=sign, decimal=",", header=header)
    found = values_of(read_folder(tmp_path, DataOptions()))
    np.testing.assert_array_equal(found["u/0.csv"], tables[0])


def test_a_model_reads_such_a_folder_by_name(tmp_path):
    tables = [table.assign(time=range(8)) for table in frames()]
    write(tmp_path / "train", tables, index=False)
    dataset = open_dataset(str(tmp_path / "train"))
    assert dataset.features == ("x", "y")
    train(dataset, out=tmp_path / "run", validation_fraction=0.0, **SMALL)
    write(tmp_path / "new", [table[["time", "y", "x"]] for table in tables])
    reading = load(tmp_path / "run").manifest.preprocessing.reading
    (piece,) = read_pieces(tmp_path / "new", 2, reading).pieces
    np.testing.assert_array_equal(piece.sequences.steps, dataset.train.steps)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("t,x\n0,1\n1,fast\n", "line 3: 'x' is 'fast'; expected a number"),
        ("t,x\n0,1\nnoon,1\n", "time 't' begins with '0'; expected numbers or time stamps"),
        ("x,x\n0,1\n", "has two columns 'x'"),
        (
            "t,n\n" + "".join(f"{n},{n}\n" for n in range(9)),
            "expected at least one numeric",
        ),
        ("t,x\n", "is empty"),
    ],
)
def test_faults_are_named(tmp_path, content, message):
    (tmp_path / "u").mkdir()
    (tmp_path / "u" / "0.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        values_of(read_folder(tmp_path, DataOptions()))
