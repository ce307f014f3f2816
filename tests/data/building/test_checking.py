from pathlib import Path

import numpy as np
import pytest

from bothways.data.building import checking
from bothways.data.building.checking import checked_records
from bothways.data.options import DataOptions
from bothways.data.record import Record, Source
from bothways.data.vocabulary import Vocabulary
from bothways.errors import DataError

PATH = Path("x.csv")


def record(values, name="a", **more):
    return Record(name, f"sequence {name!r}", np.array(values, float), **more)


def source_of(*records, **more):
    return Source(("x", "y"), iter(records), **more)


def checked(source, missing=True, **options):
    return list(checked_records(PATH, source, DataOptions(**options), missing=missing))


def test_values_become_float32():
    (found,) = checked(source_of(record([[1, 2], [np.nan, 4]])))
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(found.values, [[1, 2], [np.nan, 4]])


@pytest.mark.parametrize(
    ("values", "missing", "message"),
    [
        ([[1, 2, 3]], True, " has 3 features; expected 2, as in the first sequence"),
        ([[1, 2], [3, np.inf]], True, "'y' is infinite at step 1; expected finite numbers"),
        ([[-1e39, 2]], True, r"'x' is -1e\+39, too large for float32, at step 0; .* Fix or"),
        ([[1, np.nan]], False, "'y' is missing at step 0; .* or set missing=mean"),
        ([[np.nan, np.inf]], True, "'y' is infinite at step 0"),
    ],
)
def test_what_cannot_be_used_is_refused(values, missing, message):
    source = source_of(record([[1, 2]]), record(values, "b"))
    with pytest.raises(DataError, match=rf"^x\.csv, sequence 'b'.*{message}"):
        checked(source, missing)


def test_a_recording_is_its_own_group_and_numbers_belong_to_their_file():
    records = [record([[1, 2]]), record([[1, 2]], "0", named=False), record([[1, 2]], group="g")]
    found = checked(source_of(*records))
    assert [one.group for one in found] == ["a", "x.csv:0", "g"]
    assert [one.recording for one in found] == [0, 1, 2]


def test_windows_have_the_steps_and_the_group_of_their_recording():
    values = np.arange(20).reshape(10, 2)
    source = source_of(record(values, times=np.arange(10)), record(values[:3], "short"))
    found = checked(source, window=4, stride=3)
    assert [(one.group, one.recording, one.start) for one in found] == [
        ("a", 0, 0),
        ("a", 0, 3),
        ("a", 0, 6),
        ("short", 1, 0),
    ]
    assert [len(one.values) for one in found] == [4, 4, 4, 3]
    np.testing.assert_array_equal(found[1].values, values[3:7])
    np.testing.assert_array_equal(found[1].times, [3, 4, 5, 6])


def test_windows_do_not_overlap_without_a_stride():
    found = checked(source_of(record(np.zeros((11, 2)))), window=4)
    assert [one.start for one in found] == [0, 4]


def test_offsets_are_found_in_the_first_records(monkeypatch):
    monkeypatch.setattr(checking, "_SAMPLE_VALUES", 100)
    steps = np.arange(60)[:, None]
    base = 1.7e9 + steps[:, 0]
    first = record(np.stack([steps[:, 0], base], axis=1))
    later = record(np.hstack([2.5e9 + steps, steps]), "b")  # would change the offsets
    source = source_of(first, later)
    found = checked(source)
    assert source.offsets == [0, pytest.approx(1.7e9, abs=100)]
    np.testing.assert_array_equal(found[0].values[:, 1].astype(float) + source.offsets[1], base)
    np.testing.assert_array_equal(found[1].values[:, 0], (2.5e9 + steps[:, 0]).astype(np.float32))


def test_offsets_of_the_options_replace_those_of_the_data():
    source = source_of(record([[10, 1.7e9], [11, 1.7e9 + 1]]))
    (found,) = checked(source, offsets=(10.0, 1.7e9 - 1))
    assert source.offsets == [10, 1.7e9 - 1]
    np.testing.assert_array_equal(found.values, [[0, 1], [1, 2]])


def test_categories_have_no_offset():
    codes = 1.7e9 + np.arange(60)[:, None]
    source = source_of(
        record(np.hstack([codes, codes])), vocabularies={"y": Vocabulary(grows=True)}
    )
    checked(source)
    assert source.offsets == [pytest.approx(1.7e9, abs=100), 0]
    assert source.notes == []


def test_changes_that_are_lost_in_float32_are_noted():
    steps = np.arange(8)[:, None]
    records = [record(np.hstack([steps, 1e9 * n + steps]), f"r{n}") for n in range(60)]
    source = source_of(*records)
    checked(source)
    (note,) = source.notes
    assert note.startswith("most changes of y are lost in float32")
