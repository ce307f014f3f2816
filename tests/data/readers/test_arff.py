import numpy as np
import pytest

from bothways import DataOptions, open_dataset
from bothways.data.readers.registry import open_source
from bothways.errors import DataError
from bothways.models.pieces import read_pieces

UNIVARIATE = """% a comment
@relation steps

@ATTRIBUTE 'att 0' numeric
@attribute att1 REAL
@attribute att2 integer
@attribute target {walk, 'run'}
@data
% another
0.5,-1.25,3,walk
1,?,2,run
4,5,?,'run'
"""
RELATIONAL = """@relation steps
@attribute series relational
  @attribute att0 numeric
  @attribute att1 numeric
  @attribute att2 numeric
@end series
@attribute target {1.0,2.0}
@data
"1,2,3\\n4,5,6",2.0
'7,8,?\\n10,11,?',1.0
"""


def write(path, text):
    path.write_text(text)
    return path


def records(path, **options):
    return list(open_source(path, DataOptions(), **options).records)


def test_numeric_attributes_are_steps(tmp_path):
    path = write(tmp_path / "x.arff", UNIVARIATE)
    assert open_source(path, DataOptions()).classes == ("walk", "run")
    first, second, third = records(path)
    assert (first.label, second.label, third.label) == ("walk", "run", "run")
    assert (first.place, third.place) == ("line 10", "line 12")
    np.testing.assert_array_equal(first.values, [[0.5], [-1.25], [3]])
    np.testing.assert_array_equal(second.values, [[1], [np.nan], [2]])
    np.testing.assert_array_equal(third.values, [[4], [5]])


def test_a_relational_attribute_has_a_series_for_each_feature(tmp_path):
    first, second = records(write(tmp_path / "x.arff", RELATIONAL))
    assert (first.label, second.label) == ("2.0", "1.0")
    np.testing.assert_array_equal(first.values, [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(second.values, [[7, 10], [8, 11]])


def test_training_test_and_prediction(tmp_path):
    write(tmp_path / "X_TEST.arff", RELATIONAL.replace('"1,', '"9,'))
    dataset = open_dataset(str(write(tmp_path / "X_TRAIN.arff", RELATIONAL)))
    assert dataset.classes == ("1.0", "2.0")
    assert dataset.train.labels.tolist() == [1, 0]
    assert dataset.test.steps[0].tolist() == [9, 4]
    unknown = RELATIONAL.replace('",2.0', '",?')
    (piece,) = read_pieces(write(tmp_path / "new.arff", unknown), 2).pieces
    np.testing.assert_array_equal(piece.sequences.steps, dataset.train.steps)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{walk, 'run'}", "numeric", "last attribute of type 'numeric'.*Regression is not supp"),
        ("3,walk", "3,Walk", "line 10 has class 'Walk'; did you mean 'walk'"),
        ("3,walk", "3,jump", "line 10 has class 'jump'; expected one of walk, run"),
        ("3,walk", "3,?", "line 10 has class '\\?'"),
        ("3,walk", "x,walk", "line 10: could not convert string to float: 'x'; expected numbers"),
        ("0.5,-1.25,3", "?,?,?", "line 10 has no values"),
        ("att1 REAL", "att1 string", "attribute of type 'string' before its class"),
        ("att1 REAL", "att1", "line 5 is '@attribute att1'; expected @attribute NAME TYPE"),
        ("@data", "", "has no @data"),
    ],
)
def test_faults_are_named(tmp_path, old, new, message):
    with pytest.raises(DataError, match=message):
        records(write(tmp_path / "x.arff", UNIVARIATE.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"1,2,3', "1,2,3", 'expected "VALUES",CLASS'),
        ("4,5,6", "4,5", "line 9 has series of 3, 2 values; expected as many in each"),
    ],
)
def test_faults_of_relations_are_named(tmp_path, old, new, message):
    with pytest.raises(DataError, match=message):
        records(write(tmp_path / "x.arff", RELATIONAL.replace(old, new)))
