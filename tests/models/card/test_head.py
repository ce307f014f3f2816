"""The head of the card, read by the classes of huggingface_hub."""

import pytest
import yaml
from huggingface_hub import ModelCard
from manifests import make_manifest, make_metrics

from bothways.evaluation.segments import SegmentMetrics
from bothways.models.card import model_card


@pytest.fixture
def read(tmp_path):
    def read(*arguments):
        """Return the head of a card, as the hub reads it."""
        path = tmp_path / "README.md"
        path.write_text(model_card(*arguments), encoding="utf-8")
        return ModelCard.load(path).data

    return read


def test_the_fields_are_those_of_the_hub(read):
    data = read(make_manifest(cell="gru"))
    assert data.to_dict() == {
        "library_name": "bothways",
        "license": "unknown",
        "tags": ["sequence-classification", "recurrent-neural-network", "gru", "bidirectional"],
    }
    tags = read(make_manifest(readout="step", bidirectional=False)).tags
    assert tags == ["sequence-labeling", "recurrent-neural-network", "lstm"]


def test_the_metrics_of_held_out_splits_are_read_back_exactly(read):
    metrics = {
        "train": make_metrics(accuracy=1.0),
        "validation": make_metrics(accuracy=0.1 + 0.2),
        "test": make_metrics(),
    }
    data = read(make_manifest(), metrics, 3)
    assert data.model_name == "bidirectional LSTM 1x128, readout final"
    found = {(r.dataset_split, r.metric_type): r.metric_value for r in data.eval_results}
    assert found == {
        (split, name): getattr(metrics[split], field)
        for split in ("test", "validation")
        for name, field in (
            ("accuracy", "accuracy"),
            ("balanced_accuracy", "balanced_accuracy"),
            ("f1", "macro_f1"),
            ("log_loss", "log_loss"),
            ("expected_calibration_error", "expected_calibration_error"),
        )
    }
    assert all(isinstance(value, float) for value in found.values())
    for result in data.eval_results:
        assert result.dataset_name == result.dataset_type == "gestures.npz"
        assert result.dataset_args == {"seed": 17}
        assert result.task_type == "sequence-classification"
        assert result.verified is None


def test_the_head_survives_a_round_trip_through_the_hub(read):
    data = read(make_manifest(), {"test": make_metrics()})
    card = ModelCard(f"---\n{data.to_yaml()}\n---\n")
    assert card.data.to_dict() == data.to_dict()


def test_training_metrics_alone_give_no_results(read):
    assert read(make_manifest(), {"train": make_metrics()}).eval_results is None


def test_segments_and_recordings_have_results(read):
    segments = make_metrics(segments=SegmentMetrics(0.1, 0.2, 0.3, 0.4))
    found = read(make_manifest(readout="step"), {"test": segments}).eval_results
    assert {r.task_type for r in found} == {"sequence-labeling"}
    assert {r.metric_name: r.metric_value for r in found}["Segment F1 at 50 %"] == 0.4
    windows = make_metrics(recordings=make_metrics(accuracy=0.75))
    found = read(make_manifest(), {"test": windows}).eval_results
    assert {r.metric_name: r.metric_value for r in found}["Accuracy of recordings"] == 0.75


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ('a: "b" # c', "a-b-c"),
        ("---\nlicense: mit\n---\n", "license-mit"),
        ("  spaces  ", "spaces"),
        ("../données 😀\u2028\x85.csv", "donn-es-.csv"),
        ("日本", "unknown"),
        ("null", "null"),
        ("\x00\x1b", "unknown"),
    ],
)
def test_any_name_of_the_data_is_kept(read, name, identifier):
    data = read(make_manifest(name=name), {"test": make_metrics()})
    assert {r.dataset_name for r in data.eval_results} == {name}
    assert {r.dataset_type for r in data.eval_results} == {identifier}
    assert data.license == "unknown"


def test_the_head_is_in_block_style_for_people_who_edit_it():
    card = model_card(make_manifest(), {"test": make_metrics()})
    head = card.split("---\n")[1]
    assert 'license: "unknown"\n' in head
    assert 'tags:\n  - "sequence-classification"\n' in head
    assert "            value: 0.0000123\n" in head
    assert list(yaml.safe_load(head)) == ["library_name", "license", "tags", "model-index"]
