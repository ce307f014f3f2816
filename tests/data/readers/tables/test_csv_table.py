import numpy as np
import pytest

from bothways.data.options import DataOptions
from bothways.data.readers.tables import read_table
from bothways.errors import DataError


def write(path, lines, encoding="utf-8"):
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def values_of(path, **options):
    records = read_table(path, DataOptions(**options)).records
    return np.concatenate([record.values for record in records]).tolist()


@pytest.mark.parametrize("sign", [";", "\t"])
@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1,5", "2", "-3,25"], [1.5, 2, -3.25]),
        (["2", "3", "4,5"], [2, 3, 4.5]),
        ([",5", "-,25", "1,5e3"], [0.5, -0.25, 1500]),
        (["0,125", "0,250", "0,375"], [0.125, 0.25, 0.375]),
        (["1,234", "", "12,5"], [1.234, np.nan, 12.5]),
    ],
)
def test_decimal_commas_are_recognized_in_any_row(tmp_path, sign, cells, numbers):
    rows = [sign.join([name, cell, "u"]) for name, cell in zip("abc", cells, strict=True)]
    path = write(tmp_path / "x.csv", [f"id{sign}x{sign}label", *rows])
    np.testing.assert_array_equal(values_of(path), np.array(numbers)[:, None])
    notes = read_table(path, DataOptions()).notes
    assert any(note.startswith("read decimal commas, as in") for note in notes)
    assert not any("commas" in n for n in read_table(path, DataOptions(decimal=",")).notes)


def test_quoted_decimal_commas_in_a_file_with_commas(tmp_path):
    path = write(tmp_path / "x.csv", ["id,x,label", 'a,"1,5",u', 'b,"2,5",v'])
    assert values_of(path) == [[1.5], [2.5]]


@pytest.mark.parametrize("other", ["7", "0.5"])
def test_thousands_separators_are_no_decimal_commas(tmp_path, other):
    rows = [f"a;1,234;{other};u", f"b;12,345,678;{other};v"]
    path = write(tmp_path / "x.csv", ["id;x;y;label", *rows])
    source = read_table(path, DataOptions())
    assert source.features == ("y",)
    assert "ignored non-numeric columns: x ('1,234')" in source.notes[1]


def test_a_file_with_decimal_points_has_no_decimal_commas(tmp_path):
    path = write(tmp_path / "x.csv", ["id;x;y;label", "a;0.5;1,5;u", "b;0.5;2,5;v"])
    assert read_table(path, DataOptions()).features == ("x",)
    assert read_table(path, DataOptions(decimal=",")).features == ("y",)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_named_with_the_conversion(tmp_path, encoding):
    path = write(tmp_path / "x.csv", ["id,x,label", "a,1,u"], encoding)
    name = encoding.replace("-", "").upper().replace("UTF16", "UTF-16")
    with pytest.raises(DataError, match=f"not in UTF-8; expected UTF-8.*iconv -f {name} -t UTF-8"):
        read_table(path, DataOptions())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_two_byte_order_marks_are_refused(tmp_path, encoding):
    lines = ["\ufeff" + ",".join(f"{n}" for n in range(12)), ",".join("1" * 12)]
    path = write(tmp_path / "x.csv", lines, encoding)
    with pytest.raises(
        DataError, match=r"x\.csv begins with two byte-order marks; expected at most one\. Save"
    ):
        read_table(path, DataOptions())
