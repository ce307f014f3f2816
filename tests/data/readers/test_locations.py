from pathlib import Path

import numpy as np
import pytest

from bothways.data.open import find_source, open_dataset
from bothways.data.options import DataOptions
from bothways.data.readers.locations import TableFiles, locate
from bothways.errors import DataError
from bothways.models.pieces import read_pieces

LINES = "id,x,label\na,1,u\na,2,u\nb,3,v\n"


def write(folder, *names, text=LINES):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def names_in(location):
    return [file.name.rpartition("/")[2] for file in location.files]


def test_globs_and_folders_name_files_in_order(tmp_path, monkeypatch):
    write(tmp_path, "d/b.csv", "d/a.csv", "d/y=1/c.csv", "d/.e.csv", "d/_f/g.csv", "d/notes.md")
    assert names_in(locate(f"{tmp_path}/d/*.csv")) == ["a.csv", "b.csv"]
    assert names_in(locate(f"{tmp_path}/d/**/*.csv")) == ["a.csv", "b.csv", "c.csv"]
    assert names_in(locate(f"{tmp_path}/d")) == ["a.csv", "b.csv", "c.csv"]
    monkeypatch.chdir(tmp_path / "d/y=1")
    relative = locate("*.csv")
    assert (relative.files[0].name, relative.files[0].keys) == ("c.csv", {"y": "1"})
    assert find_source("*.csv") == f"{tmp_path}/d/y=1/*.csv"


def test_parquet_files_are_the_table_of_a_folder(tmp_path):
    write(tmp_path, "a.csv", "b/c.parquet", "_delta_log/d.parquet")
    assert names_in(locate(str(tmp_path))) == ["c.parquet"]


def test_what_is_ignored_is_said(tmp_path, monkeypatch):
    write(tmp_path, "d/y=1/a.csv", "d/y=2/b.csv", "d/.e.csv", "elsewhere/f.csv")
    monkeypatch.chdir(tmp_path)
    assert locate("d").notes == ["found 2 files in d"]
    assert locate("d/y=1/a.csv") == Path("d/y=1/a.csv")
    write(tmp_path, "d/2025/b.csv", "d/c.csv/x.csv")
    assert locate("d").notes == [
        "found 2 files in d; ignored 2025/b.csv (not in a folder name=value), "
        "c.csv/x.csv (not in a folder name=value), c.csv (a folder)"
    ]
    write(tmp_path, "d/notes.md", "d/y=1/z.parquet")
    (note,) = locate("d").notes
    assert note == (
        "found 1 file in d; ignored 2025/b.csv (not a Parquet file), c.csv/x.csv (not a Parquet "
        "file), notes.md (not a Parquet file), 3 more"
    )
    (tmp_path / "d/y=1/gone.csv").symlink_to("nothing")
    assert locate("d/y=1/*.csv").notes == [
        "found 1 file in d/y=1/*.csv; ignored gone.csv (a broken link)"
    ]
    (tmp_path / "d/y=1/z.parquet").unlink()
    (tmp_path / "d/far").symlink_to("../elsewhere")
    assert "far (a link to a folder)" in locate("d").ignored


def test_notes_say_how_many_files_are_read(tmp_path):
    write(tmp_path, "a.csv", text=LINES)
    write(tmp_path, "b.csv", text=LINES.replace("a,", "c,").replace("b,", "d,"))
    write(tmp_path, "sub/c.csv")
    found = f"found 2 files in {tmp_path}; ignored sub/c.csv (not in a folder name=value)"
    assert open_dataset(str(tmp_path)).notes[0] == found
    assert read_pieces(locate(str(tmp_path)), 1).notes[0] == found


def test_a_name_with_wildcards_is_that_file(tmp_path):
    write(tmp_path, "x[1].csv", "x1.csv")
    assert locate(f"{tmp_path}/x[1].csv") == tmp_path / "x[1].csv"


def test_class_folders_stay_class_folders(tmp_path):
    write(tmp_path, "u/1.csv", "v/2.csv", text="t,x\n0,1\n1,2\n")
    assert open_dataset(str(tmp_path)).classes == ("u", "v")
    write(tmp_path / "new", "1.csv", "2.csv", text="t,x\n0,1\n1,2\n")
    location = locate(str(tmp_path / "new"))
    (piece,) = read_pieces(location, 1).pieces
    assert [record.name for record in piece.records] == ["1.csv", "2.csv"]
    named = locate(str(tmp_path / "new"), sequence="t")
    assert isinstance(named, TableFiles)
    with pytest.raises(DataError, match=r"in no class's folder; .*with a glob, '.*/new/\*.csv'"):
        open_dataset(str(tmp_path / "new"))


def test_a_column_that_the_user_names_makes_a_folder_a_table(tmp_path):
    write(tmp_path, "1.csv", text="walk,x,label\na,1,u\nb,2,v\n")
    write(tmp_path, "2.csv", text="walk,x,label\nc,1,u\n")
    assert len(open_dataset(str(tmp_path), DataOptions(sequence="walk")).train) == 3


def test_files_by_uri(tmp_path):
    np.savez(tmp_path / "a b.npz", inputs=np.zeros((4, 3, 2)), labels=[0, 1, 0, 1])
    uri = (tmp_path / "a b.npz").as_uri()
    assert len(open_dataset(uri).train) == 4
    assert find_source(uri) == f"{tmp_path}/a b.npz"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("*.parquet", r"\*.parquet names no file; expected CSV or Parquet files. Check the path"),
        ("*.npz", r"a.npz is not a table, but .*\*.npz is a glob or a URI; expected CSV or Parq"),
        ("[ab].csv*", r"names .*a.csv and .*b.csv.parquet; expected files of one format"),
    ],
)
def test_globs_that_name_no_table(tmp_path, source, message):
    write(tmp_path, "a.csv", "b.csv.parquet", "a.npz")
    source = source if "[" in source or "npz" in source else f"none/{source}"
    with pytest.raises(DataError, match=message):
        open_dataset(f"{tmp_path}/{source}")


def test_a_name_that_is_too_long_is_refused_in_one_line():
    with pytest.raises(
        DataError, match=r"data '9+.*' cannot be read: File name too long; expected an existing"
    ):
        open_dataset(f"{'9' * 5000}.csv")
