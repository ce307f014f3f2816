"""A table in several files gives what one file gives, to the last bit."""

import gzip
import resource
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.data.readers.locations import locate
from bothways.data.readers.tables import read_files
from bothways.errors import DataError

ROWS = 60
ENDINGS = ("csv", "csv.gz", "parquet")


def frame(seed=0):
    """Return 10 sequences of 6 rows whose columns look different in their first and last rows."""
    rng = np.random.default_rng(seed)
    number = np.arange(ROWS)
    return pd.DataFrame(
        {
            "id": [f"s{n // 6}" for n in number],
            "t": np.where(number < 30, number, number + 0.5),  # no fraction in the first rows
            "x": rng.normal(size=ROWS) + 1e6,
            "y": np.where(number < 20, number % 7, rng.normal(size=ROWS)),
            "event": rng.choice(list("zyxabc"), ROWS),
            "code": np.where(number < 48, number % 3, 7).astype(str),  # numbers that are names
            "label": [("1", "walk")[n // 6 % 2] for n in number],
        }
    )


def write(table, path):
    """Write rows as the suffix of the path says; whole numbers of CSV files have no fraction."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
        return path
    cells = table.astype(object).map(
        lambda cell: int(cell) if isinstance(cell, float) and cell.is_integer() else cell
    )
    text = cells.to_csv(index=False).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def write_parts(table, cuts, folder, ending):
    """Write the rows between the cuts as files of a folder."""
    bounds = [0, *sorted(cuts), len(table)]
    for n, (start, end) in enumerate(pairwise(bounds)):
        write(table[start:end], folder / f"part-{n:02}.{ending}")
    return folder


def assert_same(one, other):
    """Assert that two datasets are equal to the last bit."""
    for name in ("classes", "features", "vocabularies", "offsets", "in_time_order"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.parts.keys() == other.parts.keys()
    for part, mine in one.parts.items():
        theirs = other.parts[part]
        for name in ("steps", "lengths", "labels", "groups"):
            first, second = getattr(mine, name), getattr(theirs, name)
            assert (first is None) == (second is None)
            if first is not None:
                assert first.dtype == second.dtype
                np.testing.assert_array_equal(first.numpy(), second.numpy(), strict=True)


OPTIONS = DataOptions(categorical=("event", "code"), test_fraction=0.2)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "options", [OPTIONS, DataOptions(by_time=True), DataOptions(target="step")]
)
def test_several_files_give_the_bits_of_one(tmp_path, ending, options):
    one = open_dataset(str(write(frame(), tmp_path / f"one.{ending}")), options)
    folder = write_parts(frame(), [7, 8, 31, 42], tmp_path / "parts", ending)
    for source in (folder, f"{folder}/*.{ending}", folder.as_uri()):
        assert_same(open_dataset(str(source), options), one)


@settings(deadline=None, max_examples=20)  # the first example reads more slowly
@given(
    cuts=st.lists(st.integers(0, ROWS), max_size=6),
    ending=st.sampled_from(["csv", "parquet"]),
    block=st.sampled_from([1 << 20, 700]),
)
def test_random_cuts_give_the_bits_of_one(tmp_path_factory, cuts, ending, block):
    folder = tmp_path_factory.mktemp("cuts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bothways.data.readers.tables.arrow.BLOCK_BYTES", block)
        table = frame().drop(columns="t") if block == 700 else frame()  # its type changes
        one = open_dataset(str(write(table, folder / f"one.{ending}")), OPTIONS)
        parts = write_parts(table, cuts, folder / "parts", ending)
        assert_same(open_dataset(str(parts), OPTIONS), one)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_rows_out_of_order_are_sorted_over_files(tmp_path, ending):
    shuffled = frame().sample(frac=1, random_state=0)
    one = open_dataset(str(write(shuffled, tmp_path / f"one.{ending}")), OPTIONS)
    parts = write_parts(shuffled, [11, 40], tmp_path / "parts", ending)
    several = open_dataset(str(parts), OPTIONS)
    assert_same(several, one)
    assert any(f"part-00.{ending}, " in note and "sorted" in note for note in several.notes)


def test_a_sequence_in_two_files_is_refused_with_file_and_row_if_nothing_orders_it(tmp_path):
    table = frame().drop(columns="t")
    parts = write_parts(pd.concat([table, table[:2]]), [30], tmp_path / "parts", "csv")
    with pytest.raises(DataError, match=r"part-01.csv, line 32: sequence 's0' continues after"):
        open_dataset(str(parts))
    dataset = open_dataset(str(parts), DataOptions(sort=True))
    assert dataset.train.lengths.tolist()[:2] == [8, 6]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_names_of_folders_are_columns(tmp_path, ending):
    table = frame().drop(columns="code")
    for n, day in ((0, "b%2Fc"), (1, "a"), (2, "__HIVE_DEFAULT_PARTITION__")):
        for label in ("1", "walk"):
            rows = table[(table.label == label) & (table.index // 24 == n)].drop(columns="label")
            write(rows, tmp_path / f"parts/day={day}/label={label}/x.{ending}")
    plain = open_dataset(str(tmp_path / "parts"))
    assert plain.features == ("x", "y")
    assert any("names of folders: day, label" in note for note in plain.notes)
    options = DataOptions(group="id", categorical=("day",), label="label")
    dataset = open_dataset(f"{tmp_path}/parts/*/label=*/x.{ending}", options)
    assert (dataset.name, dataset.classes) == ("parts", ("1", "walk"))
    assert dataset.vocabularies == {"day": ("", "a", "b/c")}
    assert dataset.train.labels.sum() == 5
    day = dataset.features.index("day")
    assert sorted(dataset.train.steps[:, day].tolist()) == [1] * 12 + [2] * 24 + [3] * 24


def test_a_folder_may_name_the_sequence_the_group_and_the_part(tmp_path):
    table = frame().drop(columns=["id", "t"])
    for n in range(10):
        path = tmp_path / f"d/part={('train', 'test')[n % 3 == 2]}/who={n % 3}/run={n}/a.csv"
        write(table[n * 6 : n * 6 + 6], path)
    options = DataOptions(sequence="run", group="who", split="part")
    dataset = open_dataset(str(tmp_path / "d"), options)
    assert (len(dataset.train), len(dataset.test)) == (7, 3)
    assert len(torch.unique(dataset.train.groups)) == 2


def test_the_name_of_a_folder_is_no_number(tmp_path):
    write(frame(), tmp_path / "d/year=2026/a.csv")
    with pytest.raises(DataError, match="column 'year' is in the names of folders, which are text"):
        open_dataset(str(tmp_path / "d"), DataOptions(features=("x", "year")))


def test_a_folder_called_date_is_no_time(tmp_path):
    write(frame().drop(columns="t"), tmp_path / "d/date=2026-01-31/a.parquet")
    assert not any("time" in note for note in open_dataset(str(tmp_path / "d")).notes)


def test_a_row_for_each_sequence_in_several_files(tmp_path):
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(12, 15)), columns=[f"t{n}" for n in range(15)])
    wide["label"] = np.arange(12) % 2
    one = open_dataset(str(write(wide, tmp_path / "one.csv")))
    parts = write_parts(wide, [5], tmp_path / "parts", "csv")
    assert_same(open_dataset(f"{parts}/*.csv"), one)
    wide.loc[7, "t3"] = np.inf
    write_parts(wide, [5], tmp_path / "parts", "csv")
    with pytest.raises(DataError, match=r"part-01.csv, row 2: 't' is infinite at step 3"):
        open_dataset(f"{parts}/*.csv")
    lists = pd.DataFrame({"x": list(rng.normal(size=(12, 5))), "label": np.arange(12) % 2})
    one = open_dataset(str(write(lists, tmp_path / "one.parquet")))
    assert_same(open_dataset(str(write_parts(lists, [5], tmp_path / "p", "parquet"))), one)


def test_numbers_of_several_widths_are_one_type(tmp_path):
    table = frame()
    parts = tmp_path / "parts"
    write(table[:30].assign(y=1, code=1), parts / "0.parquet")
    write(table[30:].assign(y=1.5, code=2.0), parts / "1.parquet")
    dataset = open_dataset(str(parts), DataOptions(categorical=("code",)))
    assert dataset.vocabularies["code"] == ("1", "2")
    assert sorted(set(dataset.train.steps[:, 1].tolist())) == [1.0, 1.5]


def test_files_without_rows_add_none(tmp_path):
    one = open_dataset(str(write(frame(), tmp_path / "one.csv")))
    assert_same(open_dataset(str(write_parts(frame(), [0, 9, 9], tmp_path / "p", "csv"))), one)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "b.csv",
            "id,x,label\na,1,u\n",
            "b.csv has other columns: column 2 is 'x'; expected 't', as in",
        ),
        (
            "b.csv",
            "id;t;x;label\na;1;1;u\n",
            "column 1 is 'id;t;x;label'; expected 'id', as in the fir",
        ),
        ("b.csv", "id,x,t,label\na,1,2,u\n", "same columns in another order: column 2 is 'x'; exp"),
        ("b.csv", "id,t,x\na,1,2\n", "column 4 does not exist; expected 'label', as in the first"),
        ("b.csv", "id,t,x,label,y\na,1,2,u,3\n", "column 5 is 'y'; expected no more, as in the fi"),
        ("b.csv", "", "b.csv is empty"),
        ("b.csv", "id,t,x,label\nb,1\n", r"b.csv, line 2 cannot be read as CSV \(Expected 4 col"),
        ("b.csv", "id,t,x,label\nb,1,1,\n", "b.csv, line 2: 'label' is missing"),
        ("b.csv", "id,t,x,label\na,3,1,v\n", "b.csv, line 2: label is 'v' but 'u' before in seque"),
        ("b.csv", "id,t,x,label\na,,1,u\n", "b.csv, line 2: 't' is missing"),
        ("b.csv.gz", "no", "b.csv.gz cannot be read: .*Copy the file again"),
    ],
)
def test_what_is_wrong_names_the_file(tmp_path, name, content, message):
    (tmp_path / "a.csv").write_text("id,t,x,label\na,1,1,u\na,2,2,u\n")
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(str(tmp_path), DataOptions(features=("x",)))
    assert "\n" not in str(caught.value)


def test_a_word_after_the_first_block_names_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr("bothways.data.readers.tables.arrow.BLOCK_BYTES", 200)
    for n in range(9):
        rows = [f"s{n},{t},{'fast' if (n, t) == (8, 3) else 2 * t},u" for t in range(9)]
        (tmp_path / f"{n}.csv").write_text("\n".join(["id,t,x,label", *rows]))
    with pytest.raises(DataError, match=r"8.csv, line 5: column 'x' holds 'fast'"):
        open_dataset(str(tmp_path))


def test_parquet_files_that_do_not_fit_are_named(tmp_path):
    write(frame(), tmp_path / "a.parquet")
    write(frame().assign(y="fast", id="z"), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b.parquet: column 'y' has type .*string"):
        open_dataset(str(tmp_path))
    write(frame().assign(t="noon", id="z"), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b.parquet: column 't' holds .*expected double, as in"):
        open_dataset(str(tmp_path))
    write(frame().rename(columns={"y": "z"}), tmp_path / "b.parquet")
    with pytest.raises(
        DataError, match=r"b.parquet has other columns: column 4 is 'z'; expected 'y'"
    ):
        open_dataset(str(tmp_path))
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"b.parquet is not a Parquet file, or is damaged"):
        open_dataset(str(tmp_path))


def test_names_of_folders_that_do_not_fit_are_named(tmp_path):
    write(frame(), tmp_path / "x=1/a.csv")
    with pytest.raises(DataError, match=r"a.csv has a column 'x' and is in a folder x=…"):
        open_dataset(str(tmp_path))
    write(frame(), tmp_path / "parts/day=1/a.csv")
    write(frame(), tmp_path / "parts/night=1/a.csv")
    expected = (
        r"night=1/a.csv is in a folder night=…, but the first file, .*day=1/a.csv, is in a folder "
        r"day=…; expected the same names. Move one of them\.$"
    )
    with pytest.raises(DataError, match=expected):
        open_dataset(str(tmp_path / "parts"))
    write(frame(), tmp_path / "parts/a.csv")
    with pytest.raises(DataError, match=r"parts/a.csv, is in no folder name=value; expected"):
        open_dataset(str(tmp_path / "parts"))


def test_dictionaries_of_several_files(tmp_path):
    for n, labels in enumerate((["u", "v"], ["v", "w"])):
        column = pa.array(labels).dictionary_encode()
        table = pa.table({"id": [f"{n}a", f"{n}b"], "x": [1.0, 2.0], "label": column})
        pq.write_table(table, tmp_path / f"{n}.parquet")
    assert open_dataset(str(tmp_path)).classes == ("u", "v", "w")


def test_one_file_is_open_at_a_time(tmp_path, monkeypatch):
    table = frame()
    for n in range(120):
        write(table[:6].assign(id=f"s{n:03}", label=str(n % 2)), tmp_path / f"{n:03}.parquet")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        dataset = open_dataset(str(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(dataset.train) == 120


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_files(tmp_path, monkeypatch, ending):
    monkeypatch.setattr("bothways.data.readers.tables.arrow.BLOCK_BYTES", 1 << 15)
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(100, 30)), columns=[f"x{n}." for n in range(30)])
    for n in range(100):
        named = rows.assign(id=[f"{n:02}-{row // 50}" for row in range(100)], label=n % 2)
        path = tmp_path / f"{n:02}.{ending}"
        if ending == "csv":
            named.to_csv(path, index=False)
        else:
            named.to_parquet(path, index=False)
    location = locate(str(tmp_path))
    before, peak, names = pa.total_allocated_bytes(), 0, []
    for record in read_files(str(location), location.files, DataOptions()).records:
        peak = max(peak, pa.total_allocated_bytes() - before)
        names.append(record.name)
    assert len(names) == 200
    assert peak < 100 * rows.to_numpy().nbytes / 4
    spilled = open_dataset(str(tmp_path), DataOptions(memory_mb=1))
    assert spilled.train.in_file
    assert_same(spilled, open_dataset(str(tmp_path)))
