"""Labels of time steps, from every file format to predictions."""

import csv
import io
import json
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from bothways import DataOptions, Dataset, RecurrentLabeler, Sequences, open_dataset, train
from bothways.data.batching import IGNORED
from bothways.data.splitting import hold_out
from bothways.data.summary import inspect_dataset
from bothways.errors import ConfigError, DataError, ShapeError, TrainingInterrupted
from bothways.model_selection.compare import compare
from bothways.models.loading import load
from bothways.models.predict_files import predict_files
from bothways.models.prediction_file import write_answers
from bothways.training.progress import Progress
from bothways.training.run import resume
from bothways.training.run_evaluation import evaluate_splits

SILENT = Mock(spec=Progress)
STEPS = DataOptions(target="step")
SMALL = {"hidden_size": 4, "num_layers": 1, "epochs": 3, "batch_size": 4}


def recordings(count=24, seed=0):
    """Return (values, labels) of recordings that are calm or rough for a while."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        lengths = generator.integers(3, 12, 4)
        labels = np.repeat(generator.permutation(["calm", "rough", "calm", "rough"]), lengths)
        scale = np.where(labels == "rough", 3.0, 0.3)
        found.append((scale[:, None] * generator.normal(size=(len(labels), 2)), labels))
    return found


def write_table(path, found, label="state", blank=False):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["session", "t", "x", "y", label, "person"])
        for n, (values, labels) in enumerate(found):
            for t, ((x, y), name) in enumerate(zip(values, labels, strict=True)):
                name = "" if blank and t % 7 == 0 else name
                writer.writerow([f"s{n}", 10 * t, x, y, name, f"p{n % 4}"])
    return str(path)


def write_lines(path, found):
    lines = [
        json.dumps({"values": values.tolist(), "label": [*labels[:-1].tolist(), None]}) + "\n"
        for values, labels in found
    ]
    path.write_text("".join(lines))
    return str(path)


def step_options(**more):
    return DataOptions(target="step", label="state", **more)


def test_a_table_with_a_label_for_each_step(tmp_path):
    found = recordings()
    dataset = open_dataset(write_table(tmp_path / "x.csv", found, blank=True), step_options())
    assert dataset.target == "step"
    assert dataset.classes == ("calm", "rough")
    batch = dataset.train.batch([3])
    expected = np.where(found[3][1] == "rough", 1, 0)
    expected[::7] = IGNORED
    assert batch.labels[0].tolist() == expected.tolist()
    padded = dataset.train.batch([3, 4])
    shorter = int(padded.lengths.argmin())
    assert (padded.labels[shorter, int(padded.lengths.min()) :] == IGNORED).all()


def test_json_lines_and_arrays_hold_the_same(tmp_path):
    found = recordings(6)
    by_lines = open_dataset(write_lines(tmp_path / "x.jsonl", found), STEPS).train
    labels = [np.array([*names[:-1], ""]) for _, names in found]
    lengths = [len(names) for names in labels]
    padded = np.zeros((6, max(lengths), 2), np.float32)
    padded_labels = np.full((6, max(lengths)), "", dtype="U5")
    for n, ((values, _), names) in enumerate(zip(found, labels, strict=True)):
        padded[n, : len(names)] = values
        padded_labels[n, : len(names)] = names
    np.savez(tmp_path / "padded.npz", inputs=padded, lengths=lengths, labels=padded_labels)
    values = np.concatenate([values for values, _ in found]).astype(np.float32)
    numbers = np.array([{"calm": 0, "rough": 1}.get(n, -1) for n in np.concatenate(labels)])
    offsets = np.cumsum([0, *lengths])
    names = np.array(["calm", "rough"])
    np.savez(tmp_path / "flat.npz", values=values, offsets=offsets, labels=numbers, classes=names)
    for name in ("padded.npz", "flat.npz"):
        dataset = open_dataset(str(tmp_path / name), STEPS)
        assert dataset.classes == ("calm", "rough")
        assert dataset.train.fingerprint() == by_lines.fingerprint()


def test_a_label_can_be_ignored_by_name(tmp_path):
    found = [(values, np.where(np.arange(len(n)) < 5, "?", n)) for values, n in recordings(6)]
    path = write_table(tmp_path / "x.csv", found)
    assert open_dataset(path, step_options()).classes == ("?", "calm", "rough")
    dataset = open_dataset(path, step_options(ignore="?"))
    assert dataset.classes == ("calm", "rough")
    assert (dataset.train.batch([0]).labels[0, :5] == IGNORED).all()


def test_sequences_without_a_label_are_dropped_and_reported(tmp_path):
    found = recordings(6)
    found[2] = (found[2][0], np.full(len(found[2][1]), "?"))
    path = write_table(tmp_path / "x.csv", found)
    dataset = open_dataset(path, step_options(ignore="?"))
    assert len(dataset.train) == 5
    assert "ignored sequences without any label: 1" in dataset.notes
    unlabeled = dataset.train.with_step_labels(
        [np.full(n, IGNORED) for n in dataset.train.lengths.tolist()]
    )
    with pytest.raises(
        DataError, match="all steps of train sequence 0 are ignored; expected at least one label"
    ):
        Dataset("x", unlabeled, None, ("a", "b"))


def test_a_varying_label_suggests_step_labels(tmp_path):
    table = write_table(tmp_path / "x.csv", recordings(3))
    with pytest.raises(DataError, match=r"line \d+: label is .*--target step"):
        open_dataset(table, DataOptions(label="state"))
    lines = write_lines(tmp_path / "x.jsonl", recordings(3))
    with pytest.raises(DataError, match=r"line 1: label is .* add --target step"):
        open_dataset(lines)
    np.savez(tmp_path / "x.npz", inputs=np.ones((3, 4, 2)), labels=np.ones((3, 4), int))
    with pytest.raises(DataError, match=r"labels\] has shape \(3, 4\).* add --target step"):
        open_dataset(str(tmp_path / "x.npz"))


def test_data_with_one_label_for_each_sequence_are_refused(tmp_path):
    (tmp_path / "x.ts").write_text("@classLabel true a b\n@data\n1,2:a\n3,4:b\n")
    with pytest.raises(DataError, match="one class for all its steps; expected one for each"):
        open_dataset(str(tmp_path / "x.ts"), STEPS)
    with pytest.raises(DataError, match="mnist has one label for each sequence"):
        open_dataset("mnist", STEPS)
    with pytest.raises(ConfigError, match="ignore is 'x' but sequences have the labels"):
        DataOptions(ignore="x")
    np.savez(tmp_path / "x.npz", inputs=np.ones((3, 4, 2)), labels=np.ones((3, 3), int))
    with pytest.raises(DataError, match=r"labels\] has shape \(3, 3\) for 3 sequences"):
        open_dataset(str(tmp_path / "x.npz"), STEPS)
    np.savez(tmp_path / "y.npz", values=np.ones((4, 2)), offsets=[0, 4], labels=[0, 1])
    with pytest.raises(DataError, match=r"labels\] has shape \(2,\) for 4 steps"):
        open_dataset(str(tmp_path / "y.npz"), STEPS)
    (tmp_path / "z.jsonl").write_text('{"values": [1, 2], "label": ["a"]}\n')
    with pytest.raises(DataError, match="line 1: label has 1 entry for 2 steps"):
        open_dataset(str(tmp_path / "z.jsonl"), STEPS)


@pytest.mark.parametrize("seed", range(3))
def test_each_class_gives_its_fraction_of_steps(tmp_path, seed):
    path = write_table(tmp_path / "x.csv", recordings(60))
    dataset = open_dataset(path, step_options())
    _, held_out = hold_out(dataset, 0.2, seed)
    shares = held_out.class_counts(2).sum(0) / dataset.train.class_counts(2).sum(0)
    assert (shares - 0.2).abs().max() < 0.05
    grouped = open_dataset(path, step_options(group="person", test_fraction=0.25))
    assert not set(grouped.train.groups.tolist()) & set(grouped.test.groups.tolist())


def test_windows_keep_their_labels(tmp_path):
    path = write_table(tmp_path / "x.csv", recordings(6))
    whole = open_dataset(path, step_options()).train
    windows = open_dataset(path, step_options(window=8, stride=4)).train
    assert windows.batch([1]).labels[0].tolist() == whole.batch([0]).labels[0, 4:12].tolist()


def test_inspection_counts_steps(tmp_path):
    found = recordings(6)
    dataset = open_dataset(write_table(tmp_path / "x.csv", found), step_options())
    expected = np.unique(np.concatenate([names for _, names in found]), return_counts=True)
    per_class = inspect_dataset(dataset).parts["train"].per_class
    assert per_class == dict(zip(*(part.tolist() for part in expected), strict=True))


def test_compare_includes_a_baseline_on_single_steps(tmp_path):
    dataset = open_dataset(write_table(tmp_path / "x.csv", recordings(12)), step_options())
    comparison = compare(dataset, rounds=2, epochs=1, hidden_size=2)
    names = [candidate.name for candidate in comparison.candidates]
    assert names[2:] == ["majority class", "logistic regression on single steps"]


def run(data, out, **more):
    options = {"options": step_options(group="person", test_fraction=0.25)}
    options = options if isinstance(data, str) else {}
    return train(data, out=out, progress=SILENT, **options, **{**SMALL, **more})


def test_from_a_table_to_segments(tmp_path):
    path = write_table(tmp_path / "x.csv", recordings(60))
    finished = run(path, tmp_path / "run", epochs=30, learning_rate=0.02)
    found = finished.metrics.test
    assert found.accuracy > 0.8
    assert found.segments.edit_score > 0.5
    again = evaluate_splits(finished.load(), tmp_path / "run", split="test")["test"]
    assert again == found

    new = recordings(3, seed=7)
    target = tmp_path / "new.csv"
    write_table(target, new)
    model = load(tmp_path / "run")
    answers = list(predict_files(model, [target], print))
    assert [len(answer.labels) for answer in answers] == [len(names) for _, names in new]
    expected = model.predict([values for values, _ in new])
    assert [answer.labels for answer in answers] == [names.tolist() for names in expected]
    file = io.StringIO()
    assert write_answers(answers, file, "csv") == 3
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    for answer in answers:
        own = [row for row in rows if row["sequence"] == answer.sequence]
        spelt = [row["label"] for row in own for _ in range(int(row["start"]), int(row["end"]))]
        assert spelt == answer.labels
        assert all(int(row["start_time"]) == 10 * int(row["start"]) for row in own)
        assert all(int(row["last_time"]) == 10 * (int(row["end"]) - 1) for row in own)
    file = io.StringIO()
    write_answers(answers, file, "jsonl")
    first = json.loads(file.getvalue().splitlines()[0])
    assert first["labels"] == answers[0].labels
    start, end = first["segments"][0]["start"], first["segments"][0]["end"]
    label = model.classes.index(first["segments"][0]["label"])
    probabilities = model.predict_proba([new[0][0]])[0]
    mean = probabilities[start:end, label].mean()
    assert first["segments"][0]["probability"] == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize("members", [1, 2])
def test_a_resumed_run_has_the_same_bytes(tmp_path, members):
    path = write_table(tmp_path / "x.csv", recordings())
    more = {"class_weights": "balanced", "sampling": "balanced", "validation_fraction": 0.2}
    more |= {"members": members}
    more |= {"epochs": None, "steps": 20, "crop_steps": 9, "augment_time_warp": 0.3}
    run(path, tmp_path / "whole", **more)
    steps = iter(range(7))
    with pytest.raises(TrainingInterrupted):
        run(path, tmp_path / "cut", should_stop=lambda: next(steps, None) is None, **more)
    resume(tmp_path / "cut", progress=SILENT)
    files = ("model.safetensors", "metrics.json")
    for name in files:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_and_the_estimator_give_the_same_weights(tmp_path):
    found = recordings()
    arrays = [values for values, _ in found]
    sequences = Sequences.from_arrays(arrays).with_step_labels(
        [np.where(names == "rough", 1, 0) for _, names in found]
    )
    dataset = Dataset("x", sequences, None, ("calm", "rough"))
    finished = run(dataset, tmp_path / "run", validation_fraction=0.2, seed=3)
    fitted = RecurrentLabeler(**SMALL, validation_fraction=0.2, random_state=3)
    fitted.fit(arrays, [names for _, names in found])
    trained = finished.load().classifier.state_dict()
    for name, tensor in fitted.model_.classifier.state_dict().items():
        assert torch.equal(tensor, trained[name]), name


def test_all_labeled_steps_of_a_batch_have_the_same_weight(tmp_path):
    """The first loss is the mean cross entropy over the labeled steps of the batch."""
    found = recordings(4)
    dataset = open_dataset(write_table(tmp_path / "x.csv", found, blank=True), step_options())
    finished = run(dataset, tmp_path / "run", epochs=1, batch_size=4, learning_rate=1e-9)
    model = finished.load()
    logits = torch.cat(model.predict_logits(dataset.train))
    labels = dataset.train.flat_labels()
    known = labels != IGNORED
    expected = torch.nn.functional.cross_entropy(logits[known], labels[known]).item()
    assert finished.metrics.train.log_loss == pytest.approx(expected, rel=1e-5)
    line = (tmp_path / "run" / "history.jsonl").read_text().splitlines()[-1]
    smoothed = torch.nn.functional.cross_entropy(
        logits[known], labels[known], label_smoothing=0.1
    ).item()
    assert json.loads(line)["loss"] == pytest.approx(smoothed, rel=0.05)  # dropout in training


def test_settings_that_contradict_step_labels_are_refused(tmp_path):
    path = write_table(tmp_path / "x.csv", recordings())
    with pytest.raises(ConfigError, match=r"readout is 'mean' but .* has a label for each"):
        run(path, tmp_path / "run", readout="mean")
    with pytest.raises(
        ConfigError,
        match=r"an output for each time step, but stem_stride is 2; .* Omit readout if each",
    ):
        run(path, tmp_path / "run", stem_channels=4, stem_stride=2)
    with pytest.raises(
        ConfigError,
        match=r"augment_zoom is 0.1 but x.csv has a label for each time step; expected sequences",
    ):
        run(path, tmp_path / "run", augment_zoom=0.1)
    finished = run(path, tmp_path / "run", stem_channels=4, epochs=1)
    assert finished.load().manifest.model.stem_stride == 1


def test_a_model_of_windows_evaluates_whole_sequences(tmp_path):
    path = write_table(tmp_path / "x.csv", recordings())
    options = step_options(window=8, stride=4)
    train(path, options=options, out=tmp_path / "run", progress=SILENT, **SMALL)
    new = recordings(4, seed=9)
    write_table(tmp_path / "new.csv", new)
    model = load(tmp_path / "run")
    found = evaluate_splits(model, tmp_path / "run", str(tmp_path / "new.csv"))["data"]
    answers = predict_files(model, [tmp_path / "new.csv"], print)
    hits = sum(
        sum(mine == name for mine, name in zip(answer.labels, names, strict=True))
        for answer, (_, names) in zip(answers, new, strict=True)
    )
    assert (found.correct, found.count) == (hits, sum(len(names) for _, names in new))


def test_a_labeler_is_evaluated_on_step_labels(tmp_path):
    finished = run(write_table(tmp_path / "x.csv", recordings()), tmp_path / "run", epochs=1)
    model = finished.load()
    plain = Sequences.from_arrays([np.ones((3, 2))], [0])
    with pytest.raises(DataError, match="have labels of sequences; expected labels of steps"):
        model.evaluate(plain)
    with pytest.raises(DataError, match="have no labels; expected labels of steps"):
        model.evaluate(Sequences.from_arrays([np.ones((3, 2))]))


def test_prediction_in_small_batches_gives_the_same_labels(tmp_path, monkeypatch):
    finished = run(write_table(tmp_path / "x.csv", recordings()), tmp_path / "run", epochs=1)
    model = finished.load()
    write_table(tmp_path / "new.csv", recordings(9, seed=3))
    whole = list(predict_files(model, [tmp_path / "new.csv"], print))
    monkeypatch.setattr("bothways.models.predict_files.BATCH_STEPS", 50)
    assert list(predict_files(model, [tmp_path / "new.csv"], print)) == whole


@pytest.mark.parametrize("labels", [[["a", "b"]], [[0.5, 1.0]], [None], [[True, False]]])
def test_step_labels_are_class_numbers(labels):
    sequences = Sequences.from_arrays([np.ones((2, 1))])
    with pytest.raises((DataError, ShapeError), match=r"labels\[0\] (holds|has shape)"):
        sequences.with_step_labels(labels)
