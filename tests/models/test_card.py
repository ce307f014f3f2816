import pytest

from bothways.config import ModelConfig, TrainConfig
from bothways.evaluation.metrics import Metrics
from bothways.models.card import describe_architecture, model_card
from bothways.models.manifest import Manifest, Provenance, TrainingData
from bothways.nn.pooling import READOUTS

METRICS = Metrics(
    accuracy=0.98765,
    balanced_accuracy=0.98,
    count=12345,
    correct=12193,
    log_loss=0.04321,
    expected_calibration_error=0.00987,
    macro_f1=0.98,
    per_class={},
    confusion_matrix=[],
)


def make_manifest(**settings):
    return Manifest(
        model=ModelConfig(input_size=6, num_classes=3, **settings),
        classes=("walk", "run", "jump"),
        provenance=Provenance(
            recipe="lstm-last",
            data=TrainingData(name="gestures.npz", train_count=54000),
            training=TrainConfig(seed=17),
            threads=2,
        ),
    )


def test_the_card_names_classes_data_and_seed():
    card = model_card(make_manifest(), {"test": METRICS})
    assert "one of 3 classes for each sequence: walk, run, jump." in card
    assert "recipe lstm-last, trained on gestures.npz (54,000 labeled sequences), seed 17" in card
    assert "sequences of 6 features per time step." in card


def test_the_card_has_a_row_for_each_split():
    card = model_card(make_manifest(), {"train": METRICS, "test": METRICS})
    rows = [line for line in card.splitlines() if line.endswith("| 98.77% | 0.0432 | 0.0099 |")]
    assert rows == [
        f"| {split} | 12,345 | 98.77% | 0.0432 | 0.0099 |" for split in ("train", "test")
    ]
    assert "validation" not in card


@pytest.mark.parametrize("readout", READOUTS)
def test_the_card_describes_the_readout(readout):
    length = 20 if readout == "flatten" else None
    card = model_card(make_manifest(readout=readout, sequence_length=length), {})
    assert f"Readout: {READOUTS[readout].summary}" in card
    assert ("the backward direction has processed only the last" in card) == (readout == "last")
    assert ("at most 20 time steps" in card) == (readout == "flatten")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hidden_size": 256, "num_layers": 2}, "bidirectional LSTM 2x256, readout final"),
        ({"cell": "gru", "bidirectional": False}, "forward GRU 1x128, readout final"),
        (
            {"cell": "rnn", "nonlinearity": "relu", "readout": "mean"},
            "bidirectional RNN (relu) 1x128, readout mean",
        ),
    ],
)
def test_the_architecture_is_the_title(settings, words):
    assert describe_architecture(make_manifest(**settings)) == words
    assert model_card(make_manifest(**settings), {}).startswith(f"# {words}\n")
