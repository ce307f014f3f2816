import pytest
from manifests import make_manifest

from bothways.config import TrainConfig
from bothways.models.card.descriptions import (
    describe_architecture,
    describe_origin,
    describe_taken,
)
from bothways.models.manifest import ConvertedFrom, Provenance


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
        "recipe lstm-last, trained on gestures.npz (54,000 labeled sequences), seed 17, 2 threads"
    )
    one = manifest.provenance.model_copy(update={"threads": 1})
    assert describe_origin(manifest.model_copy(update={"provenance": one})).endswith(", 1 thread")
    provenance = Provenance(converted_from=ConvertedFrom(file="old.ckpt", sha256="0"))
    converted = manifest.model_copy(update={"provenance": provenance})
    assert describe_origin(converted) == "converted from old.ckpt"
    unknown = manifest.model_copy(update={"provenance": Provenance()})
    assert describe_origin(unknown) == "origin unknown"


def test_the_batch_size_of_older_runs_with_auto_is_unknown():
    auto = TrainConfig(batch_size="auto")
    assert describe_taken(auto, 1, 1) == "1 step in 1 epoch"
    assert describe_taken(TrainConfig(batch_size=8), 20, 3) == "20 steps in 3 epochs, batch size 8"
