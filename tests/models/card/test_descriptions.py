import pytest
from manifests import make_manifest

from bothways.config import TrainConfig
from bothways.models.card.descriptions import (
    describe_architecture,
    describe_counts,
    describe_origin,
    describe_taken,
)
from bothways.models.manifest import ConvertedFrom, Provenance, TrainingData


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hidden_size": 256, "num_layers": 2}, "bidirectional LSTM 2x256, readout final"),
        ({"cell": "gru", "bidirectional": False}, "forward GRU 1x128, readout final"),
        (
            {"cell": "rnn", "nonlinearity": "relu", "readout": "mean"},
            "bidirectional RNN (relu) 1x128, readout mean",
        ),
        ({"members": 5}, "bidirectional LSTM 1x128, readout final, ensemble of 5 networks"),
    ],
)
def test_architectures(settings, words):
    assert describe_architecture(make_manifest(**settings)) == words


def test_origins():
    manifest = make_manifest()
    assert describe_origin(manifest) == (
        "recipe lstm-last, trained on gestures.npz (48,600 training, 5,400 validation sequences), "
        "seed 17, 2 threads"
    )
    one = manifest.provenance.model_copy(update={"threads": 1})
    assert describe_origin(manifest.model_copy(update={"provenance": one})).endswith(", 1 thread")
    provenance = Provenance(converted_from=ConvertedFrom(file="old.ckpt", sha256="0"))
    converted = manifest.model_copy(update={"provenance": provenance})
    assert describe_origin(converted) == "converted from old.ckpt"
    unknown = manifest.model_copy(update={"provenance": Provenance()})
    assert describe_origin(unknown) == "origin unknown"


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"train": 1}, "1 training sequence"),
        ({"train": 9, "validation": 1, "test": 5}, "9 training, 1 validation sequence"),
        ({}, "10 sequences for training and validation"),  # models of older versions
    ],
)
def test_counts_of_the_training_data(counts, words):
    data = TrainingData(name="gestures", train_count=10, split_counts=counts)
    assert describe_counts(data) == words


@pytest.mark.parametrize(
    ("settings", "taken", "words"),
    [
        ({"epochs": 2}, (20, 2), "20 steps in 2 epochs, batches of 64"),
        ({"steps": 20}, (20, 2), "20 steps in 2 epochs, batches of 64"),
        ({"steps": 5}, (10, 1), "10 steps in 1 epoch, batches of 64 (requested: 5 steps)"),
        (
            {"steps": 5, "epochs": 3},
            (30, 3),
            "30 steps in 3 epochs, batches of 64 (requested: 5 steps or 3 epochs, whichever is "
            "longer)",
        ),
    ],
)
def test_another_length_than_the_requested_one_is_stated(settings, taken, words):
    assert describe_taken(TrainConfig(**settings), *taken) == words


def test_the_batch_size_of_older_runs_with_auto_is_unknown():
    auto = TrainConfig(batch_size="auto", epochs=1)
    assert describe_taken(auto, 1, 1) == "1 step in 1 epoch"
    assert describe_taken(auto, 4, 1, 16) == "4 steps in 1 epoch, batches of 16 (auto)"
