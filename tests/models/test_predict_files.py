"""Predictions for whole files, and the files they are written to."""

import csv
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from bothways.config import ModelConfig
from bothways.data.options import DataOptions
from bothways.errors import BothwaysError, ConfigError, DataError
from bothways.models.answers import Prediction
from bothways.models.manifest import Manifest, Preprocessing
from bothways.models.pieces import PIECE_SEQUENCES
from bothways.models.predict_files import predict_files
from bothways.models.prediction_file import format_of, prediction_file, write_answers
from bothways.models.trained import TrainedClassifier
from bothways.nn.classifier import SequenceClassifier

CLASSES = ('say "a, b"', "ö")
PREDICTIONS = [
    Prediction("0", 'say "a, b"', {'say "a, b"': 0.75, "ö": 0.25}),
    Prediction("zwölf.png", "ö", {'say "a, b"': 1 / 3, "ö": 2 / 3}),
]


def make_model(input_size=2, training_range=None):
    torch.manual_seed(0)
    config = ModelConfig(input_size=input_size, num_classes=2, hidden_size=3)
    preprocessing = Preprocessing(training_range=training_range)
    manifest = Manifest(model=config, classes=CLASSES, preprocessing=preprocessing)
    return TrainedClassifier(SequenceClassifier(config).eval(), manifest)


def random_inputs(count):
    return np.random.default_rng(0).random((count, 4, 2), dtype=np.float32)


def test_predictions_are_those_of_the_model(tmp_path):
    model, inputs = make_model(), random_inputs(5)
    np.save(tmp_path / "a.npy", inputs[:3])
    np.savez(tmp_path / "b.npz", inputs=inputs[3:])
    predictions = list(predict_files(model, [tmp_path / "a.npy", tmp_path / "b.npz"], print))
    found = [list(prediction.probabilities.values()) for prediction in predictions]
    np.testing.assert_allclose(found, model.predict_proba(inputs), rtol=1e-6)  # float32
    assert [prediction.label for prediction in predictions] == model.predict(inputs).tolist()
    assert [prediction.sequence for prediction in predictions] == [
        *(f"{tmp_path / 'a.npy'}:{row}" for row in range(3)),
        *(f"{tmp_path / 'b.npz'}:{row}" for row in range(2)),
    ]


def test_ragged_predictions_ignore_the_padding(tmp_path):
    model, inputs = make_model(), random_inputs(3)
    np.savez(tmp_path / "ragged.npz", inputs=inputs, lengths=np.array([4, 1, 2]))
    predictions = predict_files(model, [tmp_path / "ragged.npz"], print)
    expected = model.predict_proba([inputs[0], inputs[1, :1], inputs[2, :2]])
    np.testing.assert_allclose(
        [list(row.probabilities.values()) for row in predictions], expected, rtol=1e-6
    )


def test_changes_of_pictures_are_noted(tmp_path):
    path, notes = tmp_path / "stroke.png", []
    Image.fromarray(np.eye(90, dtype=np.uint8) * 255).save(path)
    (prediction,) = predict_files(make_model(input_size=28), [path], notes.append)
    assert prediction.sequence == str(path)
    assert notes == [f"{path}: 90x90 gray, scaled to 20x20, centered in 28x28"]


def test_predictions_start_before_the_whole_file_is_read(tmp_path):
    path = tmp_path / "long.npy"
    np.save(path, random_inputs(3 * PIECE_SEQUENCES))
    path.write_bytes(path.read_bytes()[:-1])
    predictions = predict_files(make_model(), [path], print)
    assert next(predictions).sequence == "0"
    with pytest.raises(
        DataError, match=rf"ends in row {3 * PIECE_SEQUENCES - 1}; expected 3072 rows"
    ):
        list(predictions)


@pytest.mark.parametrize("training_range", [None, (0.0, 1.0)], ids=["converted", "trained"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_values_are_refused(tmp_path, training_range, value):
    path, inputs = tmp_path / "broken.npy", random_inputs(PIECE_SEQUENCES + 9)
    inputs[PIECE_SEQUENCES + 5, 3, 1] = value
    np.save(path, inputs)
    with pytest.raises(BothwaysError, match=rf"sequence {PIECE_SEQUENCES + 5}: .* at step 3") as e:
        list(predict_files(make_model(training_range=training_range), [path], print))
    assert str(path) in str(e.value)


def test_csv():
    file = io.StringIO()
    assert write_answers(PREDICTIONS, file, "csv") == 2
    assert file.getvalue() == (
        'sequence,label,"probability_say ""a, b""",probability_ö\n'
        '0,"say ""a, b""",0.75,0.25\n'
        "zwölf.png,ö,0.333333,0.666667\n"
    )


def test_jsonl():
    file = io.StringIO()
    assert write_answers(PREDICTIONS, file, "jsonl") == 2
    first, second = file.getvalue().splitlines()
    assert json.loads(first) == {
        "sequence": "0",
        "label": 'say "a, b"',
        "probabilities": {'say "a, b"': 0.75, "ö": 0.25},
    }
    assert json.loads(second)["probabilities"] == {'say "a, b"': 1 / 3, "ö": 2 / 3}
    assert "zwölf.png" in second


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_predictions_are_written_one_by_one(format):
    file = io.StringIO()

    def predictions():
        yield PREDICTIONS[0]
        assert "0.75" in file.getvalue()
        yield PREDICTIONS[1]

    assert write_answers(predictions(), file, format) == 2


@pytest.mark.parametrize(
    ("name", "wanted", "format"),
    [
        (None, None, "csv"),
        (None, "jsonl", "jsonl"),
        ("p.csv", None, "csv"),
        ("p.jsonl", None, "jsonl"),
        ("p.txt", "csv", "csv"),
        ("p.csv", "jsonl", "jsonl"),
    ],
)
def test_format(tmp_path, name, wanted, format):
    assert format_of(name and tmp_path / name, wanted) == format


@pytest.mark.parametrize(
    ("name", "wanted", "found"),
    [
        ("p.txt", None, "'txt'"),
        ("p", None, "''"),
        ("p.csv", "xml", "'xml'"),
        (None, "xml", "'xml'"),
    ],
)
def test_unknown_format(tmp_path, name, wanted, found):
    with pytest.raises(ConfigError, match=f"is {found}; expected csv or jsonl. Choose one"):
        format_of(name and tmp_path / name, wanted)


def test_a_prediction_file_is_written_atomically(tmp_path):
    out = tmp_path / "p.csv"
    with prediction_file(out, force=False) as file:
        file.write("new\n")
        assert not out.exists()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"p.csv": "new\n"}


def test_an_existing_prediction_file_is_kept_without_force(tmp_path):
    out = tmp_path / "p.csv"
    out.write_text("old\n")
    with (
        pytest.raises(ConfigError, match=r"out file .*p\.csv exists; expected a new one.*--force"),
        prediction_file(out, force=False),
    ):
        pytest.fail("it was opened")
    with prediction_file(out, force=True) as file:
        file.write("new\n")
    assert out.read_text() == "new\n"


def write_half(out):
    with prediction_file(out, force=True) as file:
        file.write("half\n")
        raise DataError("in the middle")


@pytest.mark.parametrize("before", [{}, {"p.csv": "old\n"}], ids=["new", "replaced"])
def test_an_error_keeps_the_previous_file(tmp_path, before):
    for name, content in before.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match="in the middle"):
        write_half(tmp_path / "p.csv")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("timed", [False, True])
def test_windows_have_recording_steps_and_times(tmp_path, timed):
    model = make_model()
    reading = DataOptions(window=3, stride=2, features=("x", "y"), sequence="id")
    preprocessing = Preprocessing(reading=reading, features=("x", "y"))
    manifest = model.manifest.model_copy(update={"preprocessing": preprocessing})
    model = TrainedClassifier(model.classifier, manifest)
    inputs = random_inputs(2).repeat(2, axis=1)  # 8 steps each
    path = tmp_path / "recordings.csv"
    rows = [
        f"{'ab'[n]},2026-01-31T09:30:{step:02},{x},{y}"
        for n, values in enumerate(inputs)
        for step, (x, y) in enumerate(values)
    ]
    path.write_text("\n".join([f"id,{'t' if timed else 'unsaid'},x,y", *rows]) + "\n")
    file = io.StringIO()
    assert write_answers(predict_files(model, [path], print), file, "csv") == 6
    lines = list(csv.DictReader(io.StringIO(file.getvalue())))
    where = [(line["sequence"], line["start"], line["end"]) for line in lines]
    assert where == [(n, str(k), str(k + 3)) for n in "ab" for k in (0, 2, 4)]
    expected = model.predict_proba([values[k : k + 3] for values in inputs for k in (0, 2, 4)])
    found = [[float(line[f"probability_{name}"]) for name in CLASSES] for line in lines]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    if timed:
        assert lines[1]["start_time"] == "2026-01-31T09:30:02"
        assert lines[1]["last_time"] == "2026-01-31T09:30:04"
    else:
        assert lines[0]["start_time"] == ""


def windows_model():
    model = make_model()
    preprocessing = Preprocessing(reading=DataOptions(window=3))
    manifest = model.manifest.model_copy(update={"preprocessing": preprocessing})
    return TrainedClassifier(model.classifier, manifest)


def test_files_with_and_without_times(tmp_path):
    """Unknown times are empty cells, in one file and in several."""
    values = random_inputs(3).tolist()
    lines = [{"values": row} for row in values]
    lines[1]["times"] = [5, 6, 7, 8]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    np.save(tmp_path / "y.npy", random_inputs(2))
    file = io.StringIO()
    paths = [tmp_path / "y.npy", tmp_path / "x.jsonl"]
    assert write_answers(predict_files(windows_model(), paths, print), file, "csv") == 5
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert [row["start_time"] for row in rows] == ["", "", "", "5.0", ""]
    assert [row["last_time"] for row in rows] == ["", "", "", "7.0", ""]
    assert [row["end"] for row in rows] == ["3"] * 5  # arrays are cut into windows too
    file = io.StringIO()
    write_answers(predict_files(windows_model(), paths, print), file, "jsonl")
    found = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [line.get("start_time") for line in found] == [None, None, None, 5.0, None]
    assert "start_time" not in found[0]


def windowed_model(tmp_path):
    """Return a model of windows of 4 steps, and a table of recordings of 9, 3 and 16 steps."""
    torch.manual_seed(0)
    config = ModelConfig(input_size=1, num_classes=2, hidden_size=3)
    reading = DataOptions(sequence="id", time="t", features=("x",), window=4, stride=2, offsets=())
    manifest = Manifest(model=config, classes=("a", "b"), preprocessing={"reading": reading})
    lengths = {"r": 9, "s": 3, "t": 16}
    generator = np.random.default_rng(0)
    values = {name: 3 * generator.normal(size=n) for name, n in lengths.items()}
    rows = [f"{n},{t},{v}" for n, own in values.items() for t, v in enumerate(own)]
    (tmp_path / "x.csv").write_text("\n".join(["id,t,x", *rows]))
    return TrainedClassifier(SequenceClassifier(config).eval(), manifest), values


@pytest.mark.parametrize("piece", [2, 1024])
def test_recordings_have_the_mean_probabilities_of_their_windows(tmp_path, monkeypatch, piece):
    monkeypatch.setattr("bothways.models.pieces.PIECE_SEQUENCES", piece)
    model, values = windowed_model(tmp_path)
    answers = list(predict_files(model, [tmp_path / "x.csv"], print, aggregate=True))
    assert [answer.sequence for answer in answers] == ["r", "s", "t"]
    for answer, own in zip(answers, values.values(), strict=True):
        starts = range(0, max(1, len(own) - 3), 2)
        expected = model.predict_proba([own[s : s + 4, None] for s in starts]).mean(axis=0)
        found = [answer.probabilities[name] for name in model.classes]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        assert answer.label == model.classes[expected.argmax()]
        assert answer.span is None
    windows = list(predict_files(model, [tmp_path / "x.csv"], print))
    assert [answer.sequence for answer in windows] == 3 * ["r"] + ["s"] + 7 * ["t"]


def test_recordings_need_a_model_of_windows(tmp_path):
    with pytest.raises(ConfigError, match="aggregate is set, but the model does not predict wind"):
        predict_files(make_model(), [tmp_path], print, aggregate=True)


def test_each_note_is_reported_once(tmp_path):
    model, _ = windowed_model(tmp_path)
    rows = (tmp_path / "x.csv").read_text().splitlines()
    for name in ("y.csv", "z.csv"):  # not in order
        (tmp_path / name).write_text("\n".join([rows[0], *rows[:0:-1]]))
    notes = []
    answers = list(predict_files(model, [tmp_path / "y.csv", tmp_path / "z.csv"], notes.append))
    assert len(answers) == 22
    assert len(notes) == len(set(notes)) >= 1
    assert any("sorted" in note for note in notes)
