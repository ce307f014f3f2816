import numpy as np
import pytest
import torch

from bothways.config import ModelConfig
from bothways.export.check_data import random_sequences
from bothways.models.manifest import Manifest
from bothways.models.trained import trained_model
from bothways.nn.classifier import SequenceClassifier


def test_values_are_like_those_in_training():
    config = ModelConfig(
        input_size=3, num_classes=2, categories=(0, 4, 0), normalization="dataset", missing="mask"
    )
    classifier = SequenceClassifier(config)
    classifier.encoder.mean.copy_(torch.tensor([10.0, -5.0]))
    model = trained_model(classifier, Manifest(model=config, classes=("a", "b")))
    long, short = random_sequences(model, [4000, 1], np.random.default_rng(0))
    assert (long.shape, short.shape) == ((4000, 3), (1, 3))
    assert np.allclose(np.nanmean(long, axis=0)[[0, 2]], [10, -5], atol=0.2)
    assert np.allclose(np.nanstd(long, axis=0)[[0, 2]], 2, atol=0.1)
    assert np.unique(long[:, 1]).tolist() == [0, 1, 2, 3, 4, 5]
    assert 0.15 < np.isnan(long[:, 0]).mean() < 0.25


@pytest.mark.parametrize("normalization", ["robust", "sequence", "both"])
def test_sequences_have_levels_and_scales_over_decades(normalization):
    config = ModelConfig(input_size=1, num_classes=2, normalization=normalization)
    classifier = SequenceClassifier(config)
    classifier.encoder.median.fill_(10.0)
    classifier.encoder.scale.fill_(0.1)
    model = trained_model(classifier, Manifest(model=config, classes=("a", "b")))
    drawn = random_sequences(model, [40] * 200, np.random.default_rng(0))
    levels = np.array([abs(values.mean() - 10) for values in drawn])
    scales = np.array([values.std() for values in drawn])
    assert levels.min() < 1e-3
    assert levels.max() > 50
    assert 5 < (scales == 0).sum() < 40
    assert scales[scales > 0].min() < 1e-3
    assert scales.max() > 50


def test_a_model_that_does_not_normalize_gets_its_training_range():
    config = ModelConfig(input_size=2, num_classes=2)
    preprocessing = {"training_range": (3.0, 7.0)}
    manifest = Manifest(model=config, classes=("a", "b"), preprocessing=preprocessing)
    (values,) = random_sequences(
        trained_model(SequenceClassifier(config), manifest), [500], np.random.default_rng(0)
    )
    assert 3 <= values.min() < 3.2
    assert 6.8 < values.max() <= 7
