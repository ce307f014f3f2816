import json

import numpy as np
import pytest

from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.data.readers.json_lines import read_json_lines
from bothways.errors import DataError


def write(path, lines):
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines) + "\n")
    return path


def records(path, **options):
    return list(read_json_lines(path, DataOptions(), **options).records)


def test_a_line_is_a_sequence(tmp_path):
    lines = [
        {"values": [[1, 2], [3, None]], "label": "walk", "sequence": "s1", "group": "anna"},
        {"values": [[5, 6]], "label": 7, "split": "test"},
    ]
    first, second = records(write(tmp_path / "x.jsonl", lines))
    np.testing.assert_array_equal(first.values, [[1, 2], [3, np.nan]])
    assert (first.name, first.label, first.group) == ("s1", "walk", "anna")
    assert (second.name, second.label, second.part) == ("1", "7", "test")


def test_univariate_values_and_no_label_for_prediction(tmp_path):
    (record,) = records(write(tmp_path / "x.jsonl", [{"values": [1, 2, 3]}]), labeled=False)
    assert record.values.shape == (3, 1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"values": [1, 2', r"line 2 is not JSON"),
        ("[1, 2]", r"line 2 is '\[1, 2\]'; expected an object"),
        ({"label": "a"}, r"line 2 has no 'values'"),
        ({"values": [1]}, r"line 2 has no 'label'"),
        ({"values": [], "label": "a"}, r"line 2: values has shape \(0, 1\)"),
        ({"values": [[1, 2], [3]], "label": "a"}, r"line 2: values contains lists of different"),
        ({"values": ["a"], "label": "a"}, r"line 2: values contains could not convert"),
        ({"values": [1], "label": [1]}, r"line 2: label is \[1\]"),
        ({"values": [1, 2], "label": "a", "times": 5}, r"line 2: times is 5; expected 2 numbers"),
        ({"values": [1, 2], "label": "a", "times": [1]}, r"line 2: times is \[1\]"),
        ({"values": [1, 2], "label": "a", "times": [2, 1]}, r"line 2: times is \[2, 1\]"),
        ({"values": [1], "label": "a", "spilt": "test"}, r"'spilt'; did you mean 'split'"),
        ({"values": [1], "label": "a", "split": "tests"}, r"split is 'tests'; did you mean 'test'"),
        ({"values": [1], "label": "a", "split": "some"}, r"line 2: split is 'some'"),
        ({"values": [[1, 2]], "label": "a"}, r"line 2 has 2 features; expected 1"),
    ],
)
def test_malformed_lines_are_refused_in_one_line(tmp_path, line, message):
    path = write(tmp_path / "x.jsonl", [{"values": [1, 2], "label": "b"}, line])
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(str(path))
    assert "\n" not in str(caught.value)


def test_empty_files_and_one_class(tmp_path):
    with pytest.raises(DataError, match="is empty"):
        open_dataset(str(write(tmp_path / "x.jsonl", [""])))
    lines = [{"values": [1, 2], "label": "b"}] * 3
    with pytest.raises(DataError, match="has 1 class, b; expected at least 2"):
        open_dataset(str(write(tmp_path / "y.jsonl", lines)))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"values": [' + "9" * 5000 + '], "label": "a"}', "line 1 cannot be read"),
        ('{"values": [1' + "0" * 400 + '], "label": "a"}', "line 1: values contains int too large"),
        ('{"values": ' + "[" * 100_000 + "}", "line 1 cannot be read"),
        ('{"values": [1], "label": "\\ud800"}', "line 1: label is .*, an unpaired surrogate"),
        ('{"values": [1, 2], "label": "a", "times": [0, NaN]}', r"line 1: times is \[0, nan\]"),
        ('{"values": [1], "label": "a", "sequence": {}}', "line 1: sequence is {}"),
    ],
    ids=["digits", "large", "deep", "surrogate", "nan time", "name"],
)
def test_what_python_cannot_hold_is_named(tmp_path, line, message):
    path = tmp_path / "x.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        open_dataset(str(path))


def test_a_sequence_without_a_name_has_its_number(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"values": [1], "label": "a", "sequence": null}\n' * 2)
    names = [record.name for record in read_json_lines(path, DataOptions()).records]
    assert names == ["0", "1"]
