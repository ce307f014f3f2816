import io
import json
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from serving import make_model, npz

from bothways.data.options import DataOptions
from bothways.data.readers.images import read_digit
from bothways.serve.errors import RequestError
from bothways.serve.limits import Limits
from bothways.serve.requests.forms import RequestForm
from bothways.serve.requests.read import read_csv, read_json, read_npz_body, reader_of

LIMITS = Limits(body_bytes=1 << 16, sequences=4, steps=10)
PLAIN = RequestForm(make_model().manifest, LIMITS)
MISSING = RequestForm(make_model(missing="mean", normalization="dataset").manifest, LIMITS)
NAMED = RequestForm(
    make_model(
        features=("x", "event", "y"), vocabularies={"event": ("open", "close")}, missing="zero"
    ).manifest,
    LIMITS,
)
OPTIONS = DataOptions()


def read(content, form=PLAIN):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_json(body, form)


def test_one_sequence_or_several():
    rows = [[1, 2.5, 3], [4, 5, 6]]
    (one,) = read({"sequence": rows})
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one, rows)
    first, second = read({"sequences": [rows, rows[:1]]})
    np.testing.assert_array_equal(first, rows)
    np.testing.assert_array_equal(second, rows[:1])


def test_null_is_a_missing_value_where_the_model_accepts_it():
    (found,) = read({"sequence": [[1, None, 3]]}, MISSING)
    np.testing.assert_array_equal(found, [[1, np.nan, 3]])
    with pytest.raises(RequestError, match=r"sequence\[0\]\[1\] is null; expected a valid number"):
        read({"sequence": [[1, None, 3]]})


def test_categories_are_given_by_name():
    steps = [[1, "close", 2], [1, "new", None], [1, None, 2]]
    (found,) = read({"sequence": steps}, NAMED)
    np.testing.assert_array_equal(found, [[1, 2, 2], [1, 0, np.nan], [1, 0, 2]])
    with pytest.raises(RequestError, match=r"\[0\]\[1\] is 2; expected a valid string"):
        read({"sequence": [[1, 2, 3]]}, NAMED)
    rule = "expected 3, the features x, event, y. Correct it"
    for step in ([1, "open"], [1, "open", 2, 3]):
        with pytest.raises(RequestError, match=rf"sequence\[1\] has {len(step)} values; {rule}"):
            read({"sequence": [steps[0], step]}, NAMED)


STEP = [0, 0, 0]
REFUSED = [
    (b"", "not JSON: EOF while parsing a value at line 1 column 0; expected a JSON object"),
    (b"\xff\xfe", "not JSON"),
    (b'{"sequence": [[1, 2', "not JSON: EOF while parsing a list"),
    (b"[" * 50_000, "not JSON: recursion limit exceeded"),
    (b'{"a":' * 10_000, "not JSON: recursion limit exceeded"),
    (b'{"sequence": [[1, 2, NaN]]}', r"sequence\[0\]\[2\] is NaN; expected a finite number"),
    (b'{"sequence": [[1, 2, -Infinity]]}', "is -Infinity; expected a finite number"),
    (b'{"sequence": [[1, 2, 1e999]]}', "is Infinity; expected a finite number"),
    (b'{"sequence": [[1, 2, 1e39]]}', r"is 1e\+39; expected less than or equal to 340"),
    (b'{"sequence": [[1, 2, ' + b"9" * 400 + b"]]}", "expected a finite number"),
    (b'{"sequence": [[1, 2, ' + b"9" * 9000 + b"]]}", "not JSON: number out of range"),
    ([], r"the body is \[\]; expected an object"),
    (3, "the body is 3; expected an object"),
    ({}, "the body has no sequence; expected either"),
    ({"sequence": [STEP], "sequences": [[STEP]]}, "the body has sequence and sequences"),
    ({"inputs": 1}, "the body has a key 'inputs'; expected 'sequence' or 'sequences' only"),
    ({"sequence": None}, "sequence is null; expected a valid array"),
    ({"sequence": []}, "sequence has 0 time steps; expected at least 1. Add"),
    ({"sequences": [[STEP], []]}, r"sequences\[1\] has 0 time steps; expected at least"),
    ({"sequence": [[0, 0]]}, r"sequence\[0\] has 2 values; expected 3, the features"),
    ({"sequence": [[0, 0, 0, 0]]}, r"sequence\[0\] has 4 values; expected 3, the features"),
    ({"sequences": [[STEP], [STEP, [0]]]}, r"sequences\[1\]\[1\] has 1 value; expected 3, the"),
    ({"sequence": [[0, 0, "1"]]}, r"sequence\[0\]\[2\] is \"1\"; expected a valid number"),
    ({"sequence": [[0, 0, True]]}, "is true; expected a valid number"),
    ({"sequence": [[0, 0, [0]]]}, r"is \[0\]; expected a valid number"),
    ({"sequence": [STEP] * 11}, "sequence has 11 time steps; expected at most 10. Divide"),
    ({"sequences": [[STEP]] * 5}, "sequences has 5 sequences; expected at most 4"),
]


@pytest.mark.parametrize(("content", "match"), REFUSED, ids=range(len(REFUSED)))
def test_other_json_is_refused_in_one_line(content, match):
    with pytest.raises(RequestError, match=match) as error:
        read(content)
    assert error.value.status == 422
    assert len(str(error.value)) < 400
    assert "\n" not in str(error.value)


def test_time_steps_are_limited_in_total():
    with pytest.raises(RequestError, match="more time steps than 10") as error:
        read({"sequences": [[STEP] * 6, [STEP] * 6]})
    assert error.value.status == 413


def read_arrays(form=PLAIN, **arrays):
    return read_npz_body(npz(**arrays), form, OPTIONS)


def test_npz_files_are_padded_or_flat():
    inputs = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    first, second = read_arrays(inputs=inputs, lengths=np.array([2, 1]))
    np.testing.assert_array_equal(first, inputs[0])
    np.testing.assert_array_equal(second, inputs[1, :1])
    flat = read_arrays(values=inputs.reshape(4, 3), offsets=np.array([0, 1, 4]))
    assert [len(array) for array in flat] == [1, 3]
    (pixels,) = read_arrays(inputs=np.full((1, 1, 3), 255, np.uint8))
    np.testing.assert_array_equal(pixels, [[1, 1, 1]])


def ones(*shape):
    return np.ones(shape, np.float32)


NPZ_REFUSED = [
    ({"inputs": ones(1, 2, 4)}, 422, "has 4 features per time step; expected 3"),
    ({"inputs": ones(1, 2, 3) * np.nan}, 422, "'feature 0' is missing .NaN. at step 0"),
    ({"inputs": np.ones((1, 2, 3), int)}, 422, "has dtype int64; expected uint8"),
    ({"inputs": np.array([[[None]]])}, 422, "holds Python objects, which are not unpickled"),
    ({"inputs": np.array([[["a"] * 3]])}, 422, "expected uint8"),
    ({"inputs": ones(0, 2, 3)}, 422, "holds no sequence"),
    ({"inputs": ones(3)}, 422, r"has shape \(3,\)"),
    ({"other": ones(1, 2, 3)}, 422, "expected an array 'inputs'"),
    ({"inputs": ones(1, 2, 3), "lengths": np.array([9])}, 422, "the body.lengths."),
    ({"values": ones(4, 3), "offsets": np.array([0, 9])}, 422, "the body.offsets."),
    ({"inputs": ones(5, 1, 3)}, 413, "more sequences than 4"),
    ({"inputs": ones(2, 6, 3)}, 413, "more time steps than 10"),
    ({"inputs": ones(1, 11, 3)}, 413, "more time steps than 10"),
    ({"inputs": ones(1, 1 << 14, 3)}, 413, "bytes; expected at most 65,536"),
]


@pytest.mark.parametrize(("arrays", "status", "match"), NPZ_REFUSED, ids=range(len(NPZ_REFUSED)))
def test_other_npz_files_are_refused_in_one_line(arrays, status, match):
    with pytest.raises(RequestError, match=match) as error:
        read_arrays(**arrays)
    assert error.value.status == status
    assert "\n" not in str(error.value)


def check_outcome(read_body):
    """The sequences fit the limits, or the request is refused; nothing else happens."""
    try:
        found, status = read_body(), 200
    except RequestError as error:
        found, status = [], error.status
    assert status in (200, 413, 422)
    assert all(array.shape[1] == 3 for array in found)
    assert sum(map(len, found)) <= LIMITS.steps


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_npz_files_are_refused(data):
    content = bytearray(npz(inputs=ones(2, 3, 3), lengths=np.array([1, 3])))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    check_outcome(lambda: read_npz_body(bytes(content), PLAIN, OPTIONS))


@settings(deadline=None, max_examples=150)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=4), st.lists))
def test_any_json_is_read_or_refused(value):
    for form in (PLAIN, MISSING, NAMED):
        for content in ({"sequence": value}, {"sequences": value}, value):
            check_outcome(partial(read, content, form))


def test_readout_flatten_limits_the_steps():
    form = RequestForm(make_model(readout="flatten", sequence_length=4).manifest, LIMITS)
    with pytest.raises(RequestError, match="sequence has 5 time steps; expected at most 4"):
        read({"sequence": [STEP] * 5}, form)
    with pytest.raises(RequestError, match=r"sequences\[0\] has 5 time steps; expected at most 4"):
        read_arrays(form, inputs=ones(1, 5, 3))


def test_offsets_of_the_model_are_subtracted():
    model = make_model()
    reading = DataOptions(offsets=(1e9, 0.0, 0.0))
    preprocessing = model.manifest.preprocessing.model_copy(update={"reading": reading})
    form = RequestForm(model.manifest.model_copy(update={"preprocessing": preprocessing}), LIMITS)
    (found,) = read({"sequence": [[1e9 + 0.5, 2, 3]]}, form)
    np.testing.assert_array_equal(found, [[0.5, 2, 3]])


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "é"])
def test_other_content_types_are_refused(kind):
    with pytest.raises(
        RequestError, match=r"Content-Type is .*; expected application/json"
    ) as error:
        reader_of(kind, PLAIN, OPTIONS)
    assert error.value.status == 415


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_parameters_of_content_types_are_ignored(kind):
    assert len(reader_of(kind, PLAIN, OPTIONS)(b'{"sequence": [[1, 2, 3]]}')) == 1


def read_text(text, form=PLAIN):
    body = text if isinstance(text, bytes) else text.encode()
    (found,) = read_csv(body, form)
    return found.tolist()


def test_csv_has_a_line_for_each_step():
    assert read_text("1,2,3\n4,5,6\n") == [[1, 2, 3], [4, 5, 6]]
    assert read_text("\ufeff1;2;3\r\n\r\n4;5;6") == [[1, 2, 3], [4, 5, 6]]
    assert read_text("1\t2e-1\t-3") == [[1, np.float32(0.2), -3]]
    assert read_text("\n\n1;2;3") == [[1, 2, 3]]


def test_columns_of_csv_are_found_by_name():
    assert read_text("y,note,event,x\n1,hello,close,2\n3,,other,4\n", NAMED) == [
        [2, 2, 1],
        [4, 0, 3],
    ]
    assert read_text("2,close,1\n", NAMED) == [[2, 2, 1]]


def test_missing_values_of_csv():
    expected = [[1, np.nan, 3], [np.nan, 5, 6]]
    np.testing.assert_array_equal(read_text("1,,3\n?,5,6\n", MISSING), expected)
    with pytest.raises(RequestError, match=r"'feature 1' is missing \(NaN\) at step 0"):
        read_text("1,,3\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has no time step; expected a line for each"),
        ("feature 0,feature 1,feature 2\n", "it has no time step"),
        ("1,2\n", "line 1 has 2 columns and no column 'feature 0'; expected the 3 features"),
        ("a,b,c\n1,2,3", "no column 'feature 0'"),
        ("1,2,3\n4,x,6\n", "line 2: 'feature 1' is 'x'; expected a number"),
        ("1,2,3\n4,1_0,6\n", "line 2: 'feature 1' is '1_0'; expected a number"),
        ("1,2,3\n4,5\n", "line 2 has 2 values; expected at least 3"),
        ("1,2,3\n4,inf,6\n", "'feature 1' is infinite in float32 at step 1"),
        ("1,2,3\n4,1e39,6\n", "'feature 1' is infinite in float32 at step 1"),
        (b"1,2,\xff\n", "it is not UTF-8 at byte 4; expected UTF-8 text"),
        ('1,2,"3\n', "line 1"),
        ("1,2," + "3" * 200_000, "line 1: field larger than field limit"),
    ],
)
def test_csv_that_cannot_be_read(text, message):
    with pytest.raises(RequestError, match=message) as error:
        read_text(text)
    assert error.value.status == 422


def test_long_csv_is_not_read_to_the_end():
    with pytest.raises(RequestError, match="more than 10 time steps") as error:
        read_text("1,2,3\n" * 11 + "not a number")
    assert error.value.status == 413


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_no_csv_is_a_crash(body):
    with suppress(RequestError):
        rows = read_text(body)
        assert {len(row) for row in rows} == {3}


def test_pictures_are_read_as_digits_by_models_of_digits_only():
    content = io.BytesIO()
    pixels = np.zeros((40, 60), np.uint8)
    pixels[5:35, 28:32] = 255
    Image.fromarray(pixels).save(content, "png")
    model = make_model(input_size=28, training_range=(0.0, 1.0))
    form = RequestForm(model.manifest, LIMITS.model_copy(update={"steps": 28}))
    (found,) = reader_of("image/png", form, OPTIONS)(content.getvalue())
    assert found.shape == (28, 28)
    content.seek(0)
    assert np.array_equal(found, read_digit(content).pixels)
    with pytest.raises(RequestError, match="the body cannot be read as an image") as error:
        reader_of("image/png", form, OPTIONS)(b"\x89PNG")
    assert error.value.status == 422
    with pytest.raises(RequestError, match="Content-Type is 'image/png'") as error:
        reader_of("image/png", PLAIN, OPTIONS)
    assert error.value.status == 415
