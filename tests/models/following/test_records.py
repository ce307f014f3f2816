import math

import pytest
from random_models import random_model

from bothways.data.options import DataOptions
from bothways.errors import DataError
from bothways.models.following.records import RecordReader
from bothways.models.manifest import Preprocessing

STEP = {"id": "a", "x": 1, "y": 2, "z": 3}


def reader(features=("x", "y", "z"), reading=None, **settings):
    preprocessing = Preprocessing(features=features, reading=reading or DataOptions(offsets=()))
    model = random_model(bidirectional=False, preprocessing=preprocessing, **settings)
    return RecordReader(model.manifest)


def test_keys_are_the_columns_of_training():
    record = reader().read({"z": 3, "x": "1.5", "id": 7, "y": -2.0, "t": 4, "note": []}, "line 9")
    assert (record.sequence, record.values, record.time) == ("7", [1.5, -2.0, 3.0], 4)
    assert (record.where, record.ends) == ("line 9", False)
    chosen = reader(reading=DataOptions(sequence="who", time="when", offsets=()))
    found = {"who": "a", "when": "2026-01-31T09:30:00Z", "id": 7, "x": 1, "y": 2, "z": 3}
    record = chosen.read(found, "line 1")
    assert (record.sequence, record.time) == ("a", "2026-01-31T09:30:00Z")


@pytest.mark.parametrize(
    ("found", "values", "ends"),
    [
        ({"end": True}, None, True),
        ({"end": "1", "x": "", "y": None}, None, True),
        ({"end": True, "x": 1, "y": 2, "z": 3}, [1, 2, 3], True),
        ({"end": False, "values": [1, 2, 3]}, [1, 2, 3], False),
        ({"end": "", "values": [1, 2, 3]}, [1, 2, 3], False),
    ],
)
def test_ends(found, values, ends):
    record = reader().read({"sequence": "a", **found}, "line 1")
    assert (record.values, record.ends) == (values, ends)


def test_a_feature_may_be_called_end_or_values():
    record = reader(("values", "end", "z")).read(
        {"sequence": "a", "values": 1, "end": 2, "z": 3}, "line 1"
    )
    assert (record.values, record.ends) == ([1, 2, 3], False)


def test_one_unnamed_feature_needs_no_list():
    record = reader((), input_size=1).read({"sequence": "a", "values": 0.5}, "line 1")
    assert record.values == [0.5]


def test_missing_values_and_categories():
    reading = DataOptions(categorical=("y",), vocabularies={"y": ("open", "7")}, offsets=())
    own = reader(reading=reading, categories=(0, 2, 0), missing="mean")
    for cell, number in (("open", 1), (7, 2), ("other", 0), (None, 0)):
        values = own.read({"sequence": "a", "x": None, "y": cell, "z": float("nan")}, "").values
        assert math.isnan(values[0])
        assert values[1] == number
        assert math.isnan(values[2])


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            {"x": 1},
            "line 5 has no sequence; .* an integer, as one of seq.*, recording, .*, id. Add it",
        ),
        ({"id": None}, "line 5 has no sequence"),
        ({"id": True}, "line 5 has the sequence True; expected its name"),
        ({"id": [1]}, r"line 5 has the sequence \[1\]; expected its name"),
        ({"id": "a" * 201}, "expected a name of at most 200 characters"),
        ({"id": "\ud800"}, "expected a name of at most 200 characters of Unicode"),
        ({"id": "a", "x": 1, "y": 2}, "line 5: z is missing; expected a number, because"),
        ({"id": "a", "x": "abc", "y": 2, "z": 3}, "line 5: x is 'abc'; expected a number"),
        ({"id": "a", "x": "1_0", "y": 2, "z": 3}, "line 5: x is '1_0'; expected a number"),
        ({"id": "a", "x": True, "y": 2, "z": 3}, "line 5: x is 'True'; expected a number"),
        ({"id": "a", "x": 10**400, "y": 2, "z": 3}, "line 5: x is '1000.*; expected a number"),
        ({"id": "a", "x": 1e39, "y": 2, "z": 3}, "line 5: x is '1e.39'; expected a number"),
        ({"id": "a", "x": float("inf"), "y": 2, "z": 3}, "line 5: x is 'inf'; expected a number"),
        ({"id": "a", "values": [1, 2]}, "line 5 has 2 values; expected 3, the features"),
        ({"id": "a", "end": "maybe"}, "line 5: end is 'maybe'; expected true or false"),
        ({**STEP, "t": "soon"}, "line 5: time is 'soon'; expected a number, or a"),
        ({**STEP, "t": {}}, "line 5: time is '{}'; expected a number"),
    ],
)
def test_wrong_records(found, message):
    with pytest.raises(DataError, match=message) as caught:
        reader().read(found, "line 5")
    assert "\n" not in str(caught.value)


def test_unnamed_features_need_a_list():
    with pytest.raises(DataError, match="line 5 has no values; expected 3"):
        reader(()).read({"sequence": "a", "x": 1}, "line 5")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"x": None}, "x is missing"), ({"x": "?"}, "x is '.'"), ({"t": "soon"}, "time is 'soon'")],
)
def test_a_wrong_step_that_ends_its_sequence_still_ends_it(wrong, message):
    record = reader().read({**STEP, **wrong, "end": True}, "line 5")
    assert (record.sequence, record.values, record.ends) == ("a", None, True)
    with pytest.raises(DataError, match=f"line 5: {message}"):
        raise record.refused


@pytest.mark.parametrize(
    ("columns", "expected"), [("z,id,x,y", True), ("x,y,z", False), ("id,x,z", False)]
)
def test_columns_that_are_needed(columns, expected):
    assert reader().has_needed(columns.split(",")) is expected
