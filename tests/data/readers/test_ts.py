import numpy as np
import pytest

from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.data.readers.ts import read_ts
from bothways.errors import DataError

HEADER = ["# a comment", "@problemName Toy", "@timeStamps false", "@classLabel true walk run"]


def write(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def records(path):
    return list(read_ts(path, DataOptions()).records)


def test_multivariate_ragged_with_missing_values(tmp_path):
    lines = [*HEADER, "@data", "1,2,3:4,?,6:walk", "7:8:run"]
    first, second = records(write(tmp_path / "toy.ts", lines))
    np.testing.assert_array_equal(first.values, [[1, 4], [2, np.nan], [3, 6]])
    np.testing.assert_array_equal(second.values, [[7, 8]])
    assert (first.label, second.label, first.place) == ("walk", "run", "line 6")


def test_time_stamps(tmp_path):
    header = [line.replace("false", "true") for line in HEADER]
    lines = [*header, "@data", "(0,1.5),(10,2.5):(0,3),(10,?):walk"]
    (record,) = records(write(tmp_path / "toy.ts", lines))
    np.testing.assert_array_equal(record.values, [[1.5, 3], [2.5, np.nan]])
    np.testing.assert_array_equal(record.times, [0, 10])
    lines = [*header, "@data", "(2026-01-01 10:30:00,1),(2026-01-01 10:30:05,2):run"]
    (record,) = records(write(tmp_path / "dates.ts", lines))
    assert record.times[1] - record.times[0] == np.timedelta64(5, "s")


def test_the_archives_pair_is_train_and_test(tmp_path):
    lines = [*HEADER, "@data", "1,2,3:walk", "3,2,1:run"]
    train = write(tmp_path / "Toy_TRAIN.ts", lines)
    write(tmp_path / "Toy_TEST.ts", [*HEADER, "@data", "2,2,3:walk"])
    dataset = open_dataset(str(train))
    assert (len(dataset.train), len(dataset.test)) == (2, 1)
    assert dataset.classes == ("walk", "run")
    assert dataset.notes == ("guessed: test data Toy_TEST.ts, next to it",)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([*HEADER, "@data", "1,2:3,4:walk", "1,2:walk"], r"line 7 has 1 dimension; expected 2"),
        ([*HEADER, "@data", "1,x:walk"], r"line 6, dimension 0, step 1 is 'x'; expected a number"),
        ([*HEADER, "@data", "1,2:wlak"], r"line 6 has class 'wlak'; did you mean 'walk'"),
        ([*HEADER, "@data", "1,2:jump"], r"line 6 has class 'jump'; expected one of walk, run"),
        ([*HEADER, "@data", "1,2:1:walk"], r"line 6 has dimensions of 1 and 2 steps"),
        ([*HEADER, "@data", "1,2:walk", "1,"], r"line 7 has 0 dimensions; expected 1"),
        ([*HEADER, "@data"], r"nothing after @data"),
        ([*HEADER, "1,2:walk"], r"line 5 is '1,2:walk'; expected a tag"),
        (HEADER, r"has no @data"),
        (["@classLabel false", "@data", "1,2"], r"has @classLabel false; expected true"),
        (
            [*HEADER[:2], "@timeStamps true", HEADER[3], "@data", "1,2:walk"],
            r"holds '1,2'|expected \(time,value\)",
        ),
    ],
)
def test_malformed_files_are_refused_in_one_line(tmp_path, lines, message):
    with pytest.raises(DataError, match=message) as caught:
        records(write(tmp_path / "toy.ts", lines))
    assert "\n" not in str(caught.value)


def test_infinite_values_and_other_encodings(tmp_path):
    path = write(tmp_path / "toy.ts", [*HEADER, "@data", "1,inf:walk", "1,2:run"])
    with pytest.raises(DataError, match="line 6: 'dimension 0' is infinite at step 1"):
        open_dataset(str(path))
    write(path, [*HEADER, "@data", "1,-1e300:walk", "1,2:run"])
    message = r"line 6: 'dimension 0' is -1e\+300, too large for float32, at step 1; expected"
    with pytest.raises(DataError, match=message):
        open_dataset(str(path))
    path.write_bytes("@problemName Übung\n".encode("latin-1"))
    with pytest.raises(DataError, match="line 1 is not in UTF-8"):
        open_dataset(str(path))


def test_a_line_over_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("bothways.data.readers.text.MAX_LINE_BYTES", 100)
    path = write(tmp_path / "toy.ts", [*HEADER, "@data", ",".join(["1"] * 90) + ":walk"])
    with pytest.raises(DataError, match="line 6 is longer than 100 bytes"):
        records(path)


def test_time_stamps_that_go_back_are_refused(tmp_path):
    path = tmp_path / "x.ts"
    header = "@timeStamps true\n@classLabel true a b\n@data\n"
    path.write_text(f"{header}(0,1),(5,2):a\n(0,1),(5,2),(2,3):b\n")
    with pytest.raises(DataError, match=r"line 5, dimension 0: the time stamp 2 is earlier"):
        open_dataset(str(path))


def test_comments_may_stand_anywhere(tmp_path):
    path = tmp_path / "x.ts"
    lines = ["% first", "@classLabel true a b", "@data", "# here", "1,2:a", "% and here", "3,4:b"]
    path.write_text("\n".join(lines))
    assert [record.label for record in read_ts(path, DataOptions()).records] == ["a", "b"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["@dimensions 3", "@classLabel true a", "@data", "1:2:a"], "line 4 has 2 dimensions; exp"),
        (["@timeStamps true", "@classLabel true a", "@data", "(0,1),(1,2:a"], "0 dimensions"),
        (["@timeStamps true", "@classLabel true a", "@data", "(nan,1):a"], "non-finite time stamp"),
    ],
)
def test_what_contradicts_the_header_is_refused(tmp_path, lines, message):
    path = tmp_path / "x.ts"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=message):
        list(read_ts(path, DataOptions()).records)
