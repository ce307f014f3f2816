import numpy as np
import pytest
from PIL import Image

from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name, value in (("circle", 1.0), ("swipe", 2.0)):
        (tmp_path / name).mkdir()
        for n in (1, 2):
            np.save(tmp_path / name / f"{n}.npy", np.full((2 + n, 3), value, np.float32))
    return tmp_path


def test_a_folder_is_a_class(folder):
    dataset = open_dataset(str(folder))
    assert dataset.classes == ("circle", "swipe")
    assert dataset.train.lengths.tolist() == [3, 4, 3, 4]
    assert dataset.train.labels.tolist() == [0, 0, 1, 1]


def test_csv_files_with_and_without_a_header(folder):
    (folder / "circle" / "3.csv").write_text("x,y,z\n1,2,3\n4,,6\n")
    (folder / "swipe" / "3.csv").write_text("1;2;3\n")
    dataset = open_dataset(str(folder))
    assert dataset.train.lengths.tolist() == [3, 4, 2, 3, 4, 1]
    assert dataset.train.steps[8, 1].isnan()


def test_pictures_are_rows_of_pixels(tmp_path):
    for name, level in (("dark", 0), ("light", 255)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((5, 4), level, np.uint8)).save(tmp_path / name / "a.png")
    dataset = open_dataset(str(tmp_path))
    assert dataset.train.lengths.tolist() == [5, 5]
    assert dataset.train.steps[5:].unique().tolist() == [1.0]


def test_parts_in_folders(folder):
    for part in ("train", "test"):
        for name in ("circle", "swipe"):
            (folder / part / name).mkdir(parents=True)
            np.save(folder / part / name / "x.npy", np.zeros((2, 3), np.float32))
    for name in ("circle", "swipe"):
        for n in (1, 2):
            (folder / name / f"{n}.npy").unlink()
        (folder / name).rmdir()
    dataset = open_dataset(str(folder))
    assert (len(dataset.train), len(dataset.test)) == (2, 2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("circle/4.csv", "1,2,3\n1,2\n", r"4.csv, line 2 has 2 columns; expected 3"),
        ("circle/4.csv", "1,2,3\n1,x,3\n", r"4.csv, line 2: 'column 2' is 'x'; expected a number"),
        ("circle/4.csv", "", r"4.csv is empty"),
        ("circle/4.csv", "1,2\n", r"has 2 features; expected 3"),
        ("circle/4.npy", "no", r"4.npy is not a .npy array"),
        ("circle/4.png", "no", r"4.png cannot be read as an image"),
        ("loose.csv", "1,2,3\n", r"loose.csv is in no class's folder"),
    ],
)
def test_malformed_files_are_refused_in_one_line(folder, name, content, message):
    (folder / name).write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(str(folder))
    assert "\n" not in str(caught.value)


def test_a_folder_without_sequences(tmp_path):
    with pytest.raises(DataError, match=r"holds no \.npy, \.png, \.jpg, \.jpeg, \.csv"):
        open_dataset(str(tmp_path))


def test_hidden_files_are_no_sequences(tmp_path):
    for name in ("a/1.npy", "b/2.npy", ".ipynb_checkpoints/3.npy", "a/._1.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / name, np.ones((3, 1)))
    dataset = open_dataset(str(tmp_path))
    assert (len(dataset.train), dataset.classes) == (2, ("a", "b"))


def test_a_test_folder_may_have_the_same_file_names(tmp_path):
    generator = np.random.default_rng(0)
    for folder in ("train", "other"):
        for name in "ab":
            (tmp_path / folder / name).mkdir(parents=True)
            for n in range(3):
                np.save(tmp_path / folder / name / f"{n}.npy", generator.normal(size=(6, 2)))
    options = DataOptions(test=str(tmp_path / "other"), window=3)
    dataset = open_dataset(str(tmp_path / "train"), options)
    assert (len(dataset.train), len(dataset.test)) == (12, 12)
    assert dataset.test.recordings.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
