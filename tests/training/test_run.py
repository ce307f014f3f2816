import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from bothways.data.dataset import Dataset
from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.data.sequences import Sequences
from bothways.data.splitting import hold_out
from bothways.data.validation import value_range
from bothways.errors import CheckpointError, ConfigError, DataError, TrainingInterrupted
from bothways.kernels.compiled.instruction_sets import host_target
from bothways.models.loading import load
from bothways.models.manifest import Manifest, read_manifest
from bothways.storage.lock import open_locked
from bothways.storage.tensors import load_tensors
from bothways.training import run as run_module
from bothways.training import run_directory, run_state
from bothways.training.history import read_history
from bothways.training.progress import Progress
from bothways.training.run import resume, train
from bothways.training.run_directory import RunFolder, create_folder
from bothways.training.run_evaluation import evaluate_splits, labeled_splits
from bothways.training.run_metrics import RunMetrics
from bothways.training.run_state import check_unchanged

SILENT = Mock(spec=Progress)
BFLOAT16 = pytest.mark.skipif(
    not host_target().has_bfloat16, reason="this processor has no AVX512_BF16"
)
SMALL = {
    "readout": "final",
    "hidden_size": 4,
    "num_layers": 1,
    "batch_size": 16,
    "epochs": 3,
    "schedule": "constant",
    "learning_rate": 0.02,
    "validation_fraction": 0.0,
    "log_every": 2,
}


def test_changes_that_do_not_fit_the_data_are_refused(tmp_path):
    with pytest.raises(
        ConfigError,
        match=r"crop_steps is 5 but tiny has one label for each sequence; expected a label for "
        r"each time step \(target step\)\. Omit",
    ):
        train(make_dataset(), out=tmp_path / "run", progress=SILENT, **SMALL, crop_steps=5)
    dataset = make_dataset()
    dataset.train.steps[:, 1] = 1
    dataset.test.steps[:, 1] = 1
    dataset = replace(dataset, features=tuple("abc"), vocabularies={"b": ("one",)})
    with pytest.raises(
        ConfigError, match="augment_rotation is 10 but tiny has categorical features; expected"
    ):
        train(dataset, out=tmp_path / "run", progress=SILENT, **SMALL, augment_rotation=10)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("shape", "fact"),
    [((8, 5, 1), "one feature for each time step"), ((8, 1, 5), "sequences of one time step")],
)
def test_image_augmentation_needs_images(tmp_path, shape, fact):
    sequences = Sequences.from_padded(np.ones(shape), labels=[0, 1] * 4)
    dataset = Dataset("tiny", sequences, None, ("x", "y"))
    with pytest.raises(
        ConfigError, match=f"augment_zoom is 0.1 but tiny has {fact}; expected sequences that are"
    ):
        train(dataset, out=tmp_path / "run", progress=SILENT, **SMALL, augment_zoom=0.1)


def make_sequences(count, seed, signal=1):
    """Return ragged sequences whose class is the feature with the largest mean."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    arrays = [generator.normal(size=(generator.integers(2, 8), 3)) for _ in labels]
    for array, label in zip(arrays, labels, strict=True):
        array[:, label] += signal
    return Sequences.from_arrays(arrays, labels)


def make_dataset(seed=0):
    return Dataset("tiny", make_sequences(60, seed), make_sequences(21, seed + 1), ("x", "y", "z"))


def write_npz(path, dataset):
    arrays = {"classes": np.array(dataset.classes)}
    for prefix, part in (("", dataset.train), ("test_", dataset.test)):
        if part is not None:
            batch = part.batch(range(len(part)))
            arrays[f"{prefix}inputs"] = batch.inputs.numpy()
            arrays[f"{prefix}lengths"] = batch.lengths.numpy()
            arrays[f"{prefix}labels"] = batch.labels.numpy()
    np.savez(path, **arrays)
    return str(path)


def run(data, out, **settings):
    return train(data, "birnn-128", out=out, progress=SILENT, **{**SMALL, **settings})


def run_and_stop(data, out, *, after, **settings):
    """Stop training at its `after`-th check; it checks after each step and epoch."""
    steps = iter(range(1, after))
    with pytest.raises(
        TrainingInterrupted, match=f"To continue, run: bothways train {out} --resume"
    ):
        run(data, out, should_stop=lambda: next(steps, None) is None, **settings)


def resume_run(folder, data=None, **options):
    return resume(folder, data, progress=SILENT, **options)


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def starts(sequences):
    """Return the positions of the sequences in the dataset, which identify them."""
    return set(sequences.starts.tolist())


def untimed_history(folder):
    timings = ("seconds", "sequences_per_second")
    lines = read_history(folder / "history.jsonl")
    lines = [line for line in lines if line["kind"] != "start"]
    return [{key: line[key] for key in line if key not in timings} for line in lines]


def contents(folder):
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.fixture
def data():
    return make_dataset()


@pytest.fixture
def source(tmp_path, data):
    return write_npz(tmp_path / "data.npz", data)


@pytest.fixture
def stopped(tmp_path, source):
    """Return the folder of a run on data in a file that was stopped in its second epoch."""
    run_and_stop(source, tmp_path / "stopped", after=6)
    return tmp_path / "stopped"


@pytest.mark.parametrize("has_test", [True, False])
@pytest.mark.parametrize("validation_fraction", [0.0, 0.2])
def test_metrics_cover_all_splits(tmp_path, data, has_test, validation_fraction):
    if not has_test:
        data = replace(data, test=None)
    finished = run(data, tmp_path / "run", validation_fraction=validation_fraction)
    held_out = 12 if validation_fraction else 0
    counts = {"train": 60 - held_out, "validation": held_out, "test": 21 if has_test else 0}
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_bytes())
    assert metrics == finished.metrics.to_json()
    assert RunMetrics.from_json(metrics) == finished.metrics
    assert {split: figures and figures["count"] for split, figures in metrics.items()} == {
        split: count or None for split, count in counts.items()
    }
    for figures in filter(None, metrics.values()):
        assert figures["accuracy"] == figures["correct"] / figures["count"]
        assert sum(map(sum, figures["confusion_matrix"])) == figures["count"]


def test_training_learns(tmp_path):
    parts = make_sequences(150, 0, signal=3), make_sequences(90, 1, signal=3)
    finished = run(Dataset("clear", *parts, ("x", "y", "z")), tmp_path / "run", epochs=15)
    assert finished.metrics.test.accuracy > 0.9  # chance: 1/3


def test_a_finished_run_is_a_model_with_a_card(tmp_path, data):
    finished = run(data, tmp_path / "run")
    model = finished.load()
    assert model.evaluate(data.test) == finished.metrics.test
    assert model.manifest.provenance.data.train_sha256 == data.train.fingerprint()
    assert model.manifest.preprocessing.training_range == value_range(data.train.chunks())
    card = (tmp_path / "run" / "README.md").read_text()
    assert "\n# bidirectional LSTM 1x4" in card
    assert f"            value: {finished.metrics.test.accuracy}\n" in card
    assert "            seed: 0\n" in card


def test_the_config_exists_before_the_first_step(tmp_path, data):
    seen = []
    progress = Mock(spec=Progress)
    progress.step.side_effect = lambda event: seen.append(
        (tmp_path / "run" / "config.json").read_bytes()
    )
    train(data, out=tmp_path / "run", progress=progress, **SMALL)
    assert seen == [(tmp_path / "run" / "config.json").read_bytes()] * 12


def test_the_request_is_saved_before_data_are_read(tmp_path, source, monkeypatch):
    def open_dataset(name, options, *, missing):
        folder = RunFolder(tmp_path / "run")
        assert folder.read_request().source == name
        raise DataError("seen")

    monkeypatch.setattr(run_module, "open_dataset", open_dataset)
    with pytest.raises(DataError, match="seen"):
        run(source, tmp_path / "run")


def test_the_seed_alone_decides_the_weights(tmp_path, data):
    settings = {"dropout": 0.3, "initial_state": "normal"}
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        torch.rand(len(name))  # the caller's own random numbers have no influence
        run(data, tmp_path / name, seed=seed, **settings)
    assert weights(tmp_path / "one") == weights(tmp_path / "two")
    weight = "linear.weight"
    one, other = (load_tensors(tmp_path / n / "model.safetensors")[0] for n in ("one", "other"))
    assert not torch.equal(one[weight], other[weight])


@BFLOAT16
def test_the_precision_is_that_of_the_training(tmp_path, data):
    """It is stated, changes the weights, and is not that of the saved model."""
    reduced = run(data, tmp_path / "reduced", precision="bfloat16")
    plain = run(data, tmp_path / "plain")
    assert weights(reduced.folder) != weights(plain.folder)
    assert reduced.metrics.splits["train"].accuracy > 0.8
    assert "precision bfloat16" in (reduced.folder / "README.md").read_text()
    assert load(reduced.folder).classifier.networks[0].layers.precision == "float32"


def test_training_does_not_change_the_random_state_of_the_caller(tmp_path, data):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    run_and_stop(data, tmp_path / "run", after=2, dropout=0.3)
    resume_run(tmp_path / "run", data)
    assert torch.equal(torch.get_rng_state(), before)


def test_validation_chooses_the_best_epoch(tmp_path, data):
    settings = {"validation_fraction": 0.3, "learning_rate": 0.1}
    run(data, tmp_path / "long", epochs=40, patience=3, **settings)
    epochs = [
        line
        for line in read_history(tmp_path / "long" / "history.jsonl")
        if line["kind"] == "epoch"
    ]
    best = max(epochs, key=lambda line: (line["validation_accuracy"], -line["validation_loss"]))
    assert len(epochs) == best["epoch"] + 3 < 40

    run(data, tmp_path / "short", epochs=best["epoch"], **settings)
    chosen, last = (load_tensors(tmp_path / n / "model.safetensors")[0] for n in ("long", "short"))
    assert all(torch.equal(chosen[name], last[name]) for name in last)
    final, _ = load_tensors(RunFolder(tmp_path / "long").checkpoint)
    assert not torch.equal(chosen["linear.weight"], final["model.linear.weight"])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fraction", [0.01, 0.25, 0.9])
def test_the_validation_split_never_overlaps_and_keeps_every_class(data, fraction, seed):
    training, held_out = hold_out(data, fraction, seed)
    assert starts(training).isdisjoint(starts(held_out))
    assert starts(training) | starts(held_out) == starts(data.train)
    per_class = max(1, round(fraction * 20))
    assert held_out.labels.bincount(minlength=3).tolist() == [per_class] * 3


def test_the_seed_decides_what_is_held_out(data):
    one, again, other = (starts(hold_out(data, 0.25, seed)[1]) for seed in (0, 0, 1))
    assert one == again != other


def test_the_average_of_the_weights_is_saved(tmp_path, data):
    run(data, tmp_path / "run", average_decay=0.9)
    kept, _ = load_tensors(tmp_path / "run" / "model.safetensors")
    final, _ = load_tensors(RunFolder(tmp_path / "run").checkpoint)
    assert all(torch.equal(kept[name], final[f"average.module.{name}"]) for name in kept)
    assert not torch.equal(kept["linear.weight"], final["model.linear.weight"])


@pytest.mark.parametrize("part", ["train", "test"])
def test_nan_is_refused_in_every_part_of_the_data(tmp_path, data, part):
    sequences = getattr(data, part)
    steps = sequences.steps.clone()
    steps[int(sequences.starts[7]) + 1] = float("nan")
    damaged = replace(sequences, steps=steps)
    message = rf"\[{part}\]\[7\] holds nan at step 1"
    with pytest.raises(DataError, match=message):
        run(replace(data, **{part: damaged}), tmp_path / "run", validation_fraction=0.2)


def test_the_kept_epoch_is_stated(tmp_path, data):
    finished = run(data, tmp_path / "run", validation_fraction=0.2, epochs=4)
    lines = read_history(finished.folder / "history.jsonl")
    epochs = [line for line in lines if line["kind"] == "epoch"]
    best = max(epochs, key=lambda e: (e["validation_accuracy"], -e["validation_loss"]))
    assert finished.metrics.epoch == best["epoch"]
    card = (finished.folder / "README.md").read_text()
    assert f"Epoch {best['epoch']} was selected" in card


def test_the_steps_taken_and_the_batch_size_are_stated(tmp_path, data):
    finished = run(data, tmp_path / "run", epochs=None, steps=5, batch_size="auto")
    lines = read_history(finished.folder / "history.jsonl")
    assert lines[0]["batch_size"] == 16
    card = (finished.folder / "README.md").read_text()
    taken = "4 steps in 1 epoch, batches of 16 (auto) (requested: 5 steps)"
    assert f"- Training: {taken}; adam with" in card
    assert RunFolder(finished.folder).describe_taken() == taken


@pytest.mark.parametrize(
    ("steps", "notes"),
    [
        (12, ["an epoch is 3 passes over 60 sequences"]),
        (4, []),
        (5, ["steps=5 is rounded to whole epochs of 4 steps: training for 4 steps"]),
    ],
)
def test_the_length_of_a_training_is_noted_once(tmp_path, data, steps, notes):
    progress = Mock(spec=Progress)
    settings = SMALL | {"epochs": None, "steps": steps, "batch_size": 16}
    train(data, "birnn-128", out=tmp_path / "run", progress=progress, **settings)
    assert [call.args[0] for call in progress.note.call_args_list] == notes


@pytest.mark.parametrize(
    "data", [np.zeros((4, 3, 2)), torch.utils.data.TensorDataset(torch.zeros(3))]
)
def test_data_from_python_are_a_dataset(tmp_path, data):
    kind = type(data).__name__
    with pytest.raises(
        DataError,
        match=rf"data is a {kind}; expected a path, a Dataset or 'mnist'\. Build one with",
    ):
        train(data, out=tmp_path / "run")


def test_a_path_names_data(tmp_path, source):
    assert run(Path(source), tmp_path / "run").metrics.test.count == 21


def test_a_run_is_not_data(stopped):
    with pytest.raises(ConfigError, match=r"is a run; expected data\. To .*, add --resume \(in P"):
        train(str(stopped))


def test_named_features_are_not_images(tmp_path, data):
    progress = Mock(spec=Progress)
    named = replace(data, features=("ax", "pixel 1", "az"))
    settings = SMALL | {"epochs": 1, "augment_rotation": 10}
    train(named, "birnn-128", out=tmp_path / "run", progress=progress, **settings)
    assert progress.note.call_args_list[-1].args[0] == (
        "warning: augmentation for images (augment_rotation) is set, but the features of "
        f"{data.name} have names (ax, az). Use recipe time-series."
    )


def test_a_validation_split_needs_a_class_of_two_sequences(tmp_path, data):
    single = replace(data, train=data.train.subset(torch.arange(3)))
    with pytest.raises(DataError, match=r"no class has two sequences, .* Set validation_fr"):
        run(single, tmp_path / "run", validation_fraction=0.5)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adam"},
        {"optimizer": "adamw", "weight_decay": 0.1, "gradient_clip": 0.5},
        {"optimizer": "sgd", "momentum": 0.9},
        {"optimizer": "sgd", "label_smoothing": 0.1},
        {"schedule": "cosine"},
        {"schedule": "one_cycle", "warmup_fraction": 0.4},
        {"average_decay": 0.9},
        {"dropout": 0.4, "num_layers": 2},
        {"initial_state": "normal", "cell": "rnn", "nonlinearity": "relu"},
        {"validation_fraction": 0.3, "patience": 1, "epochs": 8, "learning_rate": 0.1},
        {"readout": "flatten", "cell": "gru"},
        {"readout": "attention", "bidirectional": False},
        {"normalization": "both", "input_jitter": 0.2},
        {"members": 3, "dropout": 0.4, "average_decay": 0.9, "gradient_clip": 0.5},
        {"members": 2, "calibrate": True, "validation_fraction": 0.3},
        pytest.param({"precision": "bfloat16", "dropout": 0.4, "num_layers": 2}, marks=BFLOAT16),
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_stopping_after_every_step_changes_nothing(tmp_path, data, settings):
    expected = run(data, tmp_path / "undisturbed", **settings)
    stopped = tmp_path / "stopped"
    run_and_stop(data, stopped, after=1, **settings)
    message = ""
    while "stopped while evaluating" not in message:
        with pytest.raises(TrainingInterrupted) as interruption:
            resume_run(stopped, data, should_stop=lambda: True)
        message = str(interruption.value)
    assert resume_run(stopped, data).metrics == expected.metrics
    assert weights(stopped) == weights(expected.folder)
    assert untimed_history(stopped) == untimed_history(expected.folder)


def test_stopping_after_any_one_step_changes_nothing(tmp_path, data):
    settings = {
        "dropout": 0.4,
        "average_decay": 0.9,
        "validation_fraction": 0.2,
        "schedule": "one_cycle",
    }
    expected = run(data, tmp_path / "undisturbed", **settings)
    for after in range(1, 12):  # 3 epochs of 3 steps, and 2 ends of epochs
        stopped = tmp_path / str(after)
        run_and_stop(data, stopped, after=after, **settings)
        assert resume_run(stopped, data).metrics == expected.metrics
        assert weights(stopped) == weights(expected.folder)
        assert untimed_history(stopped) == untimed_history(expected.folder)


@pytest.mark.parametrize(
    "lost",
    [
        ["metrics.json"],
        ["metrics.json", "README.md"],
        ["metrics.json", "README.md", "model.safetensors"],
        ["metrics.json", "history.jsonl", "checkpoints/training.safetensors", "config.json"],
    ],
    ids=["metrics", "card", "weights", "all-but-the-request"],
)
def test_resuming_writes_missing_files(tmp_path, source, lost):
    finished = run(source, tmp_path / "run")
    files = {name: content for name, (_, content) in contents(finished.folder).items()}
    for name in lost:
        (finished.folder / name).unlink()
    assert resume_run(finished.folder).metrics == finished.metrics
    again = {name: content for name, (_, content) in contents(finished.folder).items()}
    timed = ("history.jsonl", "checkpoints/training.safetensors")
    assert {name: again[name] for name in files if name not in timed} == {
        name: files[name] for name in files if name not in timed
    }


def test_a_request_that_is_older_than_normalization(tmp_path, source):
    expected = run(source, tmp_path / "run", normalization="dataset")
    old = RunFolder(tmp_path / "old")
    content = json.loads(RunFolder(expected.folder).request.read_bytes())
    content["model"]["standardize"] = content["model"].pop("normalization") == "dataset"
    old.request.parent.mkdir(parents=True)
    old.request.write_text(json.dumps(content))
    assert resume_run(old.path).metrics == expected.metrics
    assert weights(old.path) == weights(expected.folder)


def test_history_after_the_checkpoint_is_removed(tmp_path, source, stopped):
    with (stopped / "history.jsonl").open("a") as file:
        file.write('{"kind": "step", "loss": "of a step that is lost"}\n{"kind": "st')
    resume_run(stopped)
    undisturbed = run(source, tmp_path / "undisturbed").folder
    assert untimed_history(stopped) == untimed_history(undisturbed)


def test_resuming_a_finished_run_changes_nothing(tmp_path, source):
    finished = run(source, tmp_path / "run")
    before = contents(finished.folder)
    Path(source).unlink()
    assert resume_run(finished.folder) == finished
    assert contents(finished.folder) == before


def test_data_passed_from_python_are_needed_again(tmp_path, data):
    run_and_stop(data, tmp_path / "run", after=1)
    with pytest.raises(
        DataError, match=r"run was trained on data passed from Python; .*\.resume\("
    ):
        resume_run(tmp_path / "run")
    assert resume_run(tmp_path / "run", data).metrics.test.count == 21


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"train": make_sequences(60, seed=9)}, "train_sha256"),
        ({"train": make_sequences(57, seed=0)}, "train_count"),
        ({"test": make_sequences(21, seed=9)}, "test_sha256"),
        ({"test": None}, "test_count"),
    ],
    ids=["training-data", "training-count", "test-data", "no-test"],
)
def test_changed_data_are_refused(source, data, stopped, change, differs):
    before = contents(stopped)
    write_npz(source, replace(data, **change))
    with pytest.raises(DataError, match=rf"data\.npz has changed since .*: its {differs} differs"):
        resume_run(stopped)
    assert contents(stopped) == before


def test_data_with_other_class_names_are_refused(source, data, stopped):
    write_npz(source, replace(data, classes=("z", "y", "x")))
    with pytest.raises(DataError, match="has changed since"):
        resume_run(stopped)


def test_a_run_of_a_version_without_counts_of_splits_is_not_changed(data, stopped):
    now, _ = read_manifest(stopped)
    older = json.loads((stopped / "config.json").read_text())
    del older["provenance"]["data"]["split_counts"]
    check_unchanged(Manifest(**older), now, RunFolder(stopped), "data")
    older["model"]["hidden_size"] += 1
    with pytest.raises(CheckpointError, match="disagree: one was changed"):
        check_unchanged(Manifest(**older), now, RunFolder(stopped), "data")


def test_missing_data_are_named(source, stopped):
    Path(source).unlink()
    with pytest.raises(DataError, match=r"data '.*data\.npz' is not found"):
        resume_run(stopped)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("checkpoints/request.json", r"request\.json is damaged"),
        ("checkpoints/training.safetensors", r"training\.safetensors is truncated or damaged"),
        ("config.json", r"config\.json is damaged: Expecting property name"),
    ],
)
def test_a_truncated_file_is_named_and_nothing_is_changed(stopped, name, message):
    os.truncate(stopped / name, 40)
    before = contents(stopped)
    with pytest.raises(CheckpointError, match=message):
        resume_run(stopped)
    assert contents(stopped) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("checkpoints/request.json", '"learning_rate": 0.02', '"learning_rate": 0.03'),
        ("checkpoints/request.json", '"hidden_size": 4', '"hidden_size": 5'),
        ("checkpoints/request.json", '"hidden_size": 4', '"hidden_size": 0'),
        ("checkpoints/request.json", '"threads": 1', '"threads": 0'),
        ("config.json", '"hidden_size": 4', '"hidden_size": 5'),
        ("config.json", '"data": {', '"date": {'),
    ],
    ids=["rate", "size", "bad-size", "bad-threads", "config-size", "config-data"],
)
@pytest.mark.parametrize("has_checkpoint", [True, False], ids=["checkpoint", "no-checkpoint"])
def test_an_edited_file_is_named(stopped, has_checkpoint, name, old, new):
    if not has_checkpoint:
        RunFolder(stopped).checkpoint.unlink()
    edit(stopped / name, old, new)
    with pytest.raises(CheckpointError, match=(stopped / name).name):
        resume_run(stopped)


def test_a_flipped_bit_in_the_checkpoint_is_noticed(stopped):
    checkpoint = RunFolder(stopped).checkpoint
    content = bytearray(checkpoint.read_bytes())
    content[-100] ^= 1
    checkpoint.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"training\.safetensors is damaged: .* SHA-256"):
        resume_run(stopped)


def test_the_checkpoint_of_another_run_is_refused(tmp_path, source, stopped):
    run_and_stop(source, tmp_path / "other", after=6, seed=1)
    shutil.copy(RunFolder(tmp_path / "other").checkpoint, RunFolder(stopped).checkpoint)
    with pytest.raises(CheckpointError, match=r"training\.safetensors does not belong to the conf"):
        resume_run(stopped)


def test_weights_are_refused_as_a_checkpoint(stopped):
    shutil.copy(stopped / "model.safetensors", RunFolder(stopped).checkpoint)
    with pytest.raises(CheckpointError, match=r"training\.safetensors"):
        resume_run(stopped)


def test_damaged_metrics_are_named(tmp_path, data):
    metrics = run(data, tmp_path / "run").folder / "metrics.json"
    os.truncate(metrics, 40)
    with pytest.raises(CheckpointError, match=r"metrics\.json is damaged"):
        resume_run(tmp_path / "run")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"source": null}', b"\xff", b'{"more": 1}'])
def test_an_invalid_request_is_named(stopped, content):
    RunFolder(stopped).request.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"request\.json is damaged: "):
        resume_run(stopped)


def test_other_folders_cannot_be_resumed(tmp_path):
    with pytest.raises(
        CheckpointError, match="is not a run; expected a folder that bothways train"
    ):
        resume_run(tmp_path)


def test_an_existing_run_is_replaced_only_with_force(tmp_path, data):
    before = contents(run(data, tmp_path / "run").folder)
    with pytest.raises(ConfigError, match=r"out folder .*run exists; .*: force=True\)"):
        run(data, tmp_path / "run")
    assert contents(tmp_path / "run") == before


def test_force_deletes_the_old_run(tmp_path, data):
    run(data, tmp_path / "run", epochs=2)
    run(data, tmp_path / "run", epochs=1, force=True)
    assert read_manifest(tmp_path / "run")[0].provenance.training.epochs == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_force_restores_the_old_run_if_data_are_invalid(tmp_path, data):
    before = contents(run(data, tmp_path / "run").folder)
    (tmp_path / "bad.npz").write_text("no archive")
    with pytest.raises(DataError, match=r"bad\.npz is not a .*\.npz file"):
        run(str(tmp_path / "bad.npz"), tmp_path / "run", force=True)
    assert contents(tmp_path / "run") == before
    assert {path.name for path in tmp_path.iterdir()} == {"bad.npz", "run"}


def test_force_restores_the_old_run_if_the_disk_is_full(tmp_path, data, monkeypatch):
    before = contents(run(data, tmp_path / "run").folder)
    for module in (run_directory, run_state):
        with monkeypatch.context() as patch:
            patch.setattr(module, "write_atomically", no_space)
            with pytest.raises(OSError, match=r"No space left on device: .*run'$"):
                run(data, tmp_path / "run", force=True)
        assert contents(tmp_path / "run") == before
        assert [path.name for path in tmp_path.iterdir()] == ["run"]


def no_space(path, content):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path.parent))


def test_force_restores_the_old_run_if_the_new_one_cannot_be_locked(tmp_path, data, monkeypatch):
    def deny_the_second(path):
        locked.append(path)
        if len(locked) == 2:  # after the lock of the old run, and before that of the failed one
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return open_locked(path)

    locked = []
    before = contents(run(data, tmp_path / "run").folder)
    monkeypatch.setattr(run_directory, "open_locked", deny_the_second)
    with pytest.raises(PermissionError, match="Permission denied"):
        run(data, tmp_path / "run", force=True)
    assert contents(tmp_path / "run") == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_failed_replacement_deletes_no_run_that_another_process_trains(tmp_path, stopped):
    folder = create_folder(stopped, RunFolder(stopped).read_request(), force=True)
    with folder.lock(), pytest.raises(CheckpointError, match="is being trained by another process"):
        folder.restore_replaced()
    assert folder.read_request()
    assert folder.replaced.exists()


def test_the_old_run_is_kept_if_the_new_one_cannot_take_its_place(tmp_path, stopped, monkeypatch):
    def fail_the_second(path, target):
        renamed.append(path)
        if len(renamed) == 2:  # the old run has been moved, the new one has not
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return rename(path, target)

    renamed, rename = [], Path.rename
    before = contents(tmp_path)
    monkeypatch.setattr(Path, "rename", fail_the_second)
    with pytest.raises(PermissionError, match=r"Permission denied: .*stopped'$"):
        create_folder(stopped, RunFolder(stopped).read_request(), force=True)
    assert contents(tmp_path) == before


def test_a_replacement_that_was_killed_before_it_read_its_data_is_resumed(tmp_path, stopped):
    before = contents(stopped)
    request = RunFolder(stopped).read_request()
    folder = create_folder(stopped, request, force=True)  # and then kill -9
    assert contents(folder.replaced) == before
    assert resume_run(stopped).metrics.train.count == 60
    assert not folder.replaced.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"data.npz", "stopped"}


def test_a_restart_never_takes_a_finished_run_for_its_own(tmp_path, data, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    out = tmp_path / "run"
    run(data, out, epochs=1)
    with pytest.raises(ConfigError, match="run exists; expected a new one"):
        run(data, out, epochs=1)
    other = make_dataset(seed=5)
    replaced = run(other, out, epochs=1, force=True)
    assert replaced.load().manifest.provenance.data.train_sha256 == other.train.fingerprint()


def test_a_restart_ignores_folders_that_are_not_numbered(tmp_path, source, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    run_and_stop(source, Path("runs", "0001"), after=3)
    shutil.copytree("runs/0001", "runs/0002-copy")
    assert run(source, None).folder == Path("runs", "0001")


@pytest.mark.parametrize("settings", [{"hidden_size": 0}, {"device": "mars"}, {"color": "blue"}])
def test_invalid_settings_create_no_folder(tmp_path, data, settings):
    with pytest.raises(ConfigError):
        run(data, tmp_path / "run", **settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["no archive", None], ids=["bad", "missing"])
def test_unreadable_data_create_no_folder(tmp_path, content):
    if content is not None:
        (tmp_path / "data.npz").write_text(content)
    before = contents(tmp_path)
    with pytest.raises(DataError, match=r"data\.npz"):
        run(str(tmp_path / "data.npz"), tmp_path / "run")
    assert contents(tmp_path) == before


def test_invalid_data_keep_an_empty_parent_folder(tmp_path, monkeypatch):
    (tmp_path / "bad.npz").write_text("no archive")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(DataError, match=r"bad\.npz is not a .*\.npz file"):
        run(str(tmp_path / "bad.npz"), "run")
    assert (tmp_path / "empty").is_dir()
    assert not list((tmp_path / "empty").iterdir())


def test_a_folder_without_a_name_is_refused(tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"out folder \. has no name; expected a new folder"):
        run(data, ".")


@pytest.mark.parametrize(
    ("force", "message"),
    [(False, r"out folder .*precious exists"), (True, r"precious is not a run .* Choose another")],
)
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_other_files_and_folders_are_never_replaced(tmp_path, data, kind, force, message):
    precious = tmp_path / "precious"
    if kind == "folder":
        precious.mkdir()
        (precious / "thesis.tex").write_text("ten years of work")
    else:
        precious.write_text("ten years of work")
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=message):
        run(data, precious, force=force)
    assert contents(tmp_path) == before


def test_an_empty_folder_is_used(tmp_path, data):
    (tmp_path / "run").mkdir()
    run(data, tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_cannot_be_created_leaves_nothing(tmp_path, stopped):
    (tmp_path / "file").write_text("")
    before = contents(tmp_path)
    with pytest.raises(OSError, match="file"):
        create_folder(tmp_path / "file" / "run", RunFolder(stopped).read_request(), force=False)
    assert contents(tmp_path) == before


def test_leftovers_of_a_process_of_the_same_number_are_replaced(tmp_path, data):
    run(data, tmp_path / "run", epochs=1)
    for name in (f".new-{os.getpid()}", f".replaced-run-{os.getpid()}"):
        shutil.copytree(tmp_path / "run", tmp_path / name)
    run(data, tmp_path / "run", epochs=2, force=True)
    assert read_manifest(tmp_path / "run")[0].provenance.training.epochs == 2


def test_runs_without_a_folder_are_numbered(tmp_path, data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "notes").mkdir(parents=True)
    names = [run(data, None, epochs=1).folder.name]
    (tmp_path / "runs" / "0041").touch()
    names += [run(data, None, epochs=1).folder.name for _ in range(2)]
    assert names == ["0001", "0042", "0043"]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "0001", "0041", "0042", "0043", "notes",
    ]  # fmt: skip


@pytest.mark.parametrize("validation_fraction", [0.0, 0.2])
def test_evaluating_a_run_again_gives_its_metrics(tmp_path, source, validation_fraction):
    finished = run(source, tmp_path / "run", validation_fraction=validation_fraction)
    metrics = evaluate_splits(finished.load(), finished.folder)
    assert {split: found for split, found in metrics.items() if found} == finished.metrics.splits
    assert finished.metrics.seed == 0
    assert evaluate_splits(finished.load(), finished.folder, split="test") == {
        "test": metrics["test"]
    }


def test_the_validation_split_is_restored_only_for_the_same_data(tmp_path, data):
    manifest = run(data, tmp_path / "run", validation_fraction=0.2).load().manifest
    splits = labeled_splits(manifest, data)
    assert (len(splits["train"]), len(splits["validation"])) == (48, 12)
    assert starts(splits["train"]) | starts(splits["validation"]) == starts(data.train)

    other = make_dataset(seed=9)
    assert labeled_splits(manifest, other) == {
        "train": other.train, "validation": None, "test": other.test,
    }  # fmt: skip
    assert labeled_splits(manifest, replace(other, test=None)) == {"data": other.train}


def test_other_data_in_one_part_are_called_data(tmp_path, data):
    model = run(data, tmp_path / "run").load()
    other = write_npz(tmp_path / "other.npz", replace(data, train=data.test, test=None))
    for split in ("all", "data"):
        metrics = evaluate_splits(model, tmp_path / "run", other, split)
        assert metrics == {"data": model.evaluate(data.test)}
    with pytest.raises(DataError, match="has no split 'train'; expected data or all"):
        evaluate_splits(model, tmp_path / "run", other, "train")


@pytest.mark.parametrize(
    ("change", "split", "message"),
    [
        ({}, "validation", "has no split 'validation'; expected train, test or all"),
        ({}, "dev", "has no split 'dev'; expected train, test or all"),
        ({"test": None}, "test", "has no split 'test'; expected train or all"),
        (
            {"classes": ("x", "y", "z!")},
            "all",
            r"has a class 'z!'; did you mean 'z'\? Expected one of x, y, z",
        ),
    ],
)
def test_missing_splits_and_other_classes_are_refused(tmp_path, data, change, split, message):
    model = run(data, tmp_path / "run").load()
    other = write_npz(tmp_path / "other.npz", replace(data, **change))
    with pytest.raises(DataError, match=message):
        evaluate_splits(model, tmp_path / "run", other, split)


def test_classes_in_another_order_are_matched_by_name(tmp_path, data):
    model = run(data, tmp_path / "run", epochs=3).load()
    swapped = data.test.with_labels(2 - data.test.labels)
    other = replace(data, train=swapped, test=None, classes=data.classes[::-1])
    found = evaluate_splits(model, tmp_path / "run", write_npz(tmp_path / "other.npz", other))
    assert found["data"] == model.evaluate(data.test)


def test_another_table_is_evaluated_without_the_column_of_groups(tmp_path):
    pytest.importorskip("pyarrow")
    rows = [f"s{n},{'xy'[n % 2]},{n // 2},{n % 2}.{t},p{n // 4}" for n in range(24) for t in (3, 1)]
    lines = ["recording,label,u,v,person", *rows]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    options = DataOptions(group="person", test_fraction=0.25)
    finished = run(str(tmp_path / "table.csv"), tmp_path / "run", options=options)
    (tmp_path / "other.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    found = evaluate_splits(finished.load(), finished.folder, str(tmp_path / "other.csv"))
    assert found["data"].count == 24


def test_a_model_of_a_table_is_evaluated_on_arrays(tmp_path, data):
    pytest.importorskip("pyarrow")
    lines = ["who,class,u,v,w"]
    for n, (label, start) in enumerate(zip(data.train.labels, data.train.starts, strict=True)):
        steps = data.train.steps[start : start + 2].tolist()
        lines += [f"s{n},{'xyz'[label]},{u},{v},{w}" for u, v, w in steps]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    options = DataOptions(sequence="who", window=2)
    finished = run(str(tmp_path / "table.csv"), tmp_path / "run", options=options)
    other = write_npz(tmp_path / "other.npz", data)
    figures = evaluate_splits(finished.load(), finished.folder, other, "test")["test"]
    windows = open_dataset(other, DataOptions(window=2)).test
    assert figures == finished.load().evaluate(windows)
    np.savez(other, inputs=np.zeros((4, 2, 2)), labels=[0, 1, 2, 0], classes=["x", "y", "z"])
    with pytest.raises(DataError, match="has 2 features per time step; expected 3, as in training"):
        evaluate_splits(finished.load(), finished.folder, other)


def test_a_model_without_data_needs_data(tmp_path, data):
    model = run(data, tmp_path / "run").load()
    model.save(tmp_path / "model")
    for folder in (tmp_path / "run", tmp_path / "model"):
        with pytest.raises(DataError, match="does not name the data that it was trained on"):
            evaluate_splits(model, folder)


def test_the_status_of_a_run(tmp_path, stopped):
    folder = RunFolder(stopped)
    assert (
        folder.describe_status() == f"unfinished; continue with: bothways train {stopped} --resume"
    )
    splits = resume_run(stopped).metrics.splits
    accuracies = [f"{split} {found.accuracy:.2%}" for split, found in splits.items()]
    assert folder.describe_status() == f"finished; accuracy: {', '.join(accuracies)}"
    load(stopped).save(tmp_path / "model")
    assert RunFolder(tmp_path / "model").describe_status() == "a model without a training run"
