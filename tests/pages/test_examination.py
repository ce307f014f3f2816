import numpy as np
import pytest
import torch

from bothways.config import ModelConfig
from bothways.data.sequences import Sequences
from bothways.models.manifest import Manifest
from bothways.models.trained import trained_model
from bothways.nn.classifier import SequenceClassifier
from bothways.nn.ensemble import make_classifier
from bothways.pages import examination
from bothways.pages.examination import examine, examine_sample, operations_per_step


@pytest.fixture
def model():
    config = ModelConfig(input_size=2, num_classes=3, hidden_size=4)
    manifest = Manifest(model=config, classes=("a", "b", "c"))
    return trained_model(SequenceClassifier(config).eval(), manifest)


@pytest.fixture
def sequences():
    arrays = [torch.randn(int(length), 2).numpy() for length in torch.randint(1, 9, (50,))]
    return Sequences.from_arrays(arrays, np.arange(50) % 3)


def test_a_split_is_examined_whole(model, sequences):
    for examined in (examine(model, "test", sequences), examine_sample(model, "test", sequences)):
        assert examined.indices.tolist() == list(range(50))
        assert np.allclose(examined.probabilities, model.predict_proba(sequences))
        metrics = model.evaluate(sequences)
        assert examined.correct.mean() == pytest.approx(metrics.accuracy)


def test_a_large_split_is_sampled(model, sequences, monkeypatch):
    steps = 60
    monkeypatch.setattr(examination, "OPERATIONS", steps * operations_per_step(model))
    examined = examine_sample(model, "test", sequences)
    lengths = examined.sequences.lengths
    assert 5 < len(lengths) < 50
    assert int(lengths.sum()) <= steps
    assert examined.total == 50
    assert (np.diff(examined.indices) > 0).all()
    expected = model.predict_proba(sequences)[examined.indices]
    assert np.allclose(examined.probabilities, expected)
    assert np.array_equal(examined.labels, sequences.labels[examined.indices])
    assert np.array_equal(examine_sample(model, "test", sequences).indices, examined.indices)


def test_operations_count_the_products_of_the_layers(model):
    inputs, hidden, gates, directions = 2, 4, 4, 2
    products = directions * gates * hidden * (inputs + hidden)
    biases = directions * gates * hidden * 2
    assert operations_per_step(model) == 2 * (products + biases)
    config = model.manifest.model.model_copy(update={"members": 3})
    ensemble = trained_model(make_classifier(config), model.manifest)
    assert operations_per_step(ensemble) == 3 * operations_per_step(model)
