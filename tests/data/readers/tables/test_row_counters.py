import io

import numpy as np
import pandas as pd
import pytest

from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.data.readers.tables import read_table


def frame(sequences=6, steps=5, seed=0):
    generator = np.random.default_rng(seed)
    names = np.repeat([f"s{n}" for n in range(sequences)], steps)
    return pd.DataFrame(
        {
            "id": names,
            "x": generator.standard_normal(len(names)).round(3),
            "level": generator.integers(0, 9, len(names)),
            "label": np.repeat(np.arange(sequences) % 2, steps),
        }
    )


def features(path, **options):
    return read_table(path, DataOptions(**options)).features


def as_csv(table, folder, **options):
    table.to_csv(folder / "x.csv", **options)
    return folder / "x.csv"


def as_parquet(table, folder, **options):
    table.to_parquet(folder / "x.parquet", **options)
    return folder / "x.parquet"


@pytest.mark.parametrize("write", [as_csv, as_parquet])
@pytest.mark.parametrize(
    "change",
    [
        lambda table: table,
        lambda table: table[table.x > -0.5],
        lambda table: table.sample(frac=1, random_state=0).sort_values("id", kind="stable"),
        lambda table: table[table.x > -0.5].rename_axis("row_id"),
        lambda table: table.reset_index(),
        lambda table: table.reset_index().reset_index(),
        lambda table: table.rename_axis("sample_no"),
        lambda table: table.assign(n=range(7, 7 + len(table))),
        lambda table: table.assign(n=np.arange(len(table)) % 5),
        lambda table: table.assign(n=np.arange(len(table)) % 5 + 1.0),
    ],
    ids=[
        "written index",
        "filtered",
        "shuffled",
        "filtered and named",
        "index",
        "level_0",
        "named index",
        "counts the table",
        "counts each sequence",
        "floats",
    ],
)
def test_a_column_that_counts_rows_is_no_feature(tmp_path, write, change):
    path = write(change(frame()), tmp_path)
    source = read_table(path, DataOptions())
    assert source.features == ("x", "level")
    if write is as_csv:
        assert source.notes[-1].startswith("ignored columns that count rows: ")


def test_the_index_of_a_csv_that_was_read_and_written_again_is_no_feature(tmp_path):
    text = frame().to_csv()
    for _ in range(2):
        text = pd.read_csv(io.StringIO(text)).to_csv()
    (tmp_path / "x.csv").write_text(text)
    source = read_table(tmp_path / "x.csv", DataOptions())
    assert source.features == ("x", "level")
    assert source.notes[1] == (
        "ignored columns that count rows: '', Unnamed: 0.1, Unnamed: 0 (add --features to use them)"
    )


@pytest.mark.parametrize("name", ["index", "Index", "row", "row_id", "rownum", "level_0"])
def test_a_usual_name_of_an_index_needs_no_count(tmp_path, name):
    table = frame().assign(**{name: np.random.default_rng(0).permutation(30)})
    assert features(as_csv(table, tmp_path, index=False)) == ("x", "level")


def test_a_column_that_counts_rows_is_a_feature_if_it_is_named(tmp_path):
    path = as_csv(frame().assign(n=range(30)), tmp_path)
    assert features(path, features=("x", "n")) == ("x", "n")
    assert features(path, categorical=("n",)) == ("x", "level", "n")


@pytest.mark.parametrize(
    "values",
    [
        np.arange(30) * 0.5,
        np.arange(30) ** 2,
        np.r_[np.arange(29), 28],
        np.r_[np.arange(29), np.nan],
        np.repeat(np.arange(6), 5),
        np.ones(30),
    ],
)
def test_other_rising_columns_are_features(tmp_path, values):
    path = as_csv(frame().assign(n=values), tmp_path, index=False)
    assert features(path) == ("x", "level", "n")


def test_a_few_rows_that_rise_by_one_are_no_count(tmp_path):
    table = frame(5, 1).assign(x=range(5))
    assert features(as_csv(table, tmp_path, index=False)) == ("x", "level")


def test_counts_of_interleaved_sequences(tmp_path):
    table = frame().assign(time=np.arange(30) % 5, n=np.arange(30) % 5 + 3)
    table = table.sort_values("time", kind="stable")
    assert features(as_csv(table, tmp_path, index=False)) == ("x", "level")


def test_a_test_file_has_the_features_of_the_training_file(tmp_path):
    train = as_csv(frame(), tmp_path, index=False)
    other = frame(4, 5, seed=1)
    other["id"] = "t" + other["id"]
    other.assign(level=range(20)).to_csv(tmp_path / "test.csv")
    dataset = open_dataset(str(train), DataOptions(test=str(tmp_path / "test.csv")))
    assert dataset.features == ("x", "level")
    assert dataset.test.steps[:, 1].tolist() == list(range(20))
