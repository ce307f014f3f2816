import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_models import random_model

from bothways.data.options import DataOptions
from bothways.errors import DataError
from bothways.models.following import lines as module
from bothways.models.following.lines import RecordLines
from bothways.models.following.records import Record
from bothways.models.manifest import Preprocessing


def manifest(**settings):
    preprocessing = Preprocessing(features=("x", "y", "z"), reading=DataOptions(offsets=()))
    return random_model(bidirectional=False, preprocessing=preprocessing, **settings).manifest


MANIFEST = manifest()
JSON = b'{"id": "a", "x": 1, "y": 2, "z": 3}\n'


def read(*parts, model=MANIFEST):
    """Return the records of all parts, and the messages."""
    lines = RecordLines(model)
    found = [record for part in parts for record in lines.records(part)] + lines.last()
    return (
        [one for one in found if isinstance(one, Record)],
        [str(one) for one in found if isinstance(one, DataError)],
    )


@given(cuts=st.lists(st.integers(0, 200), max_size=8))
def test_it_does_not_matter_where_the_text_is_cut(cuts):
    text = (
        b"\xef\xbb\xbf\n" + JSON + '{"id":"ü","end":true}\r\n'.encode() + b"{oops}\n\n" + JSON[:-1]
    )
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    parts = [text[start:end] for start, end in itertools.pairwise(bounds)]
    records, messages = read(*parts)
    assert [(r.where, r.sequence, r.ends) for r in records] == [
        ("line 2", "a", False),
        ("line 3", "ü", True),
        ("line 6", "a", False),
    ]
    assert len(messages) == 1
    assert messages[0].startswith("line 4 is not JSON (Expecting property name")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables(delimiter):
    rows = ["z,id,x,t,y,end", "3,a,1,10,2,", '-1,"b,c",0.5,11,1e2,', ",a,,,,true"]
    text = "\n".join(row.replace(",", delimiter) for row in rows).replace(f"b{delimiter}c", "b,c")
    records, messages = read(text.encode())
    assert messages == []
    assert [(r.sequence, r.values, r.time, r.ends) for r in records] == [
        ("a", [1.0, 2.0, 3.0], 10, False),
        ("b,c", [0.5, 100.0, -1.0], 11, False),
        ("a", None, None, True),
    ]


def test_cells_that_are_missing():
    model = manifest(missing="mean")
    (record,), _ = read(b"id,x,y,z\na,NA,,nan\n", model=model)
    assert [value != value for value in record.values] == [True] * 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"[1, 2]", r"line 2 is \[1, 2\]; expected an object"),
        (b'{"id": 1}}', r"line 2 is not JSON \(Extra data\)"),
        (b"[" * 100_000, "line 2 is not JSON"),
        (b'{"id": ' + b"9" * 5000 + b"}", "line 2 is not JSON"),
        (b'{"id": "\xff"}', r"line 2 is not in UTF-8 \(byte 8\)"),
        (b'{"id": "a", "x": 1}', "line 2: y is missing"),
        (b"{" + b" " * (1 << 20), "line 2 is longer than 1,048,576 bytes"),
    ],
)
def test_bad_lines_are_named_and_skipped(line, message):
    records, messages = read(JSON + line + b"\n" + JSON)
    assert [record.where for record in records] == ["line 1", "line 3"]
    assert len(messages) == 1
    with pytest.raises(DataError, match=message):
        raise DataError(messages[0])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"a,1,2", "line 3 has 3 cells; expected 4, as in the header. Fix it."),
        (b'a,1,2,"3', "line 3 is not CSV (unexpected end of data); expected one row. Fix it."),
        (b"a,1,2,x", "line 3: z is 'x'; expected a number. Fix it."),
    ],
)
def test_bad_rows_are_named_and_skipped(line, message):
    records, messages = read(b"id,x,y,z\na,1,2,3\n" + line + b"\na,1,2,3\n")
    assert [record.where for record in records] == ["line 2", "line 4"]
    assert messages == [message]


def test_a_line_without_end_takes_bounded_memory(monkeypatch):
    monkeypatch.setattr(module, "LINE_BYTES", 100)
    lines = RecordLines(MANIFEST)
    assert len(lines.records(JSON)) == 1
    found = []
    for _ in range(50):
        found += lines.records(b"x" * 30)
        assert len(lines._rest) <= 100
    assert [record.where for record in lines.records(b"\n" + JSON)] == ["line 3"]
    assert [str(error) for error in found] == [
        "line 2 is longer than 100 bytes; expected the record of one time step. Check the source."
    ]


NAMES = "sequence, sequence_id, series, series_id, session, session_id, recording, recording_id, id"
NEEDED = f"a header with x, y, z and one of {NAMES}"


@pytest.mark.parametrize("line", ["hello", "id,x,z", "x,y,z", 'a,"1', '0.3, "id": "a"}', "[1]"])
@pytest.mark.parametrize("rest", [JSON, b"id,x,y,z\na,1,2,3\n"], ids=["json", "csv"])
def test_lines_before_the_first_object_or_header_are_skipped(line, rest):
    records, messages = read(line.encode() + b"\n" + rest)
    assert [record.values for record in records] == [[1, 2, 3]]
    (message,) = messages
    assert message.startswith("line 1 is ")
    if line != 'a,"1':
        assert message == (
            f"line 1 is neither a JSON object nor {NEEDED}, but {line!r}; expected one of both "
            "before all rows. Fix it."
        )


def test_half_an_object_does_not_decide_about_the_format():
    records, messages = read(b'{"id": "a", "x"\nid,x,y,z\na,1,2,3\n')
    assert [record.where for record in records] == ["line 3"]
    assert [message[:20] for message in messages] == ["line 1 is not JSON ("]


def test_a_row_is_not_taken_for_a_header_that_cannot_be_read():
    records, messages = read(b"id,x,y,z,\xff\na,1,2,3,4\n")
    assert records == []
    assert [message[:20] for message in messages] == [
        "line 1 is not in UTF",
        "line 2 is neither a ",
    ]


def test_the_column_of_the_sequences_is_named_if_it_is_known():
    preprocessing = Preprocessing(
        features=("x", "y", "z"), reading=DataOptions(sequence="who", offsets=())
    )
    model = random_model(bidirectional=False, preprocessing=preprocessing).manifest
    _, (message,) = read(b"x,y,z\n", model=model)
    assert "nor a header with x, y, z and 'who', but 'x,y,z'" in message
