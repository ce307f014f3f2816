"""Small models with random weights, statistics, categories and temperature."""

import torch

from bothways.config import ModelConfig
from bothways.models.manifest import Manifest, Preprocessing
from bothways.models.trained import trained_model
from bothways.nn.classifier import SequenceClassifier


def random_model(*, classes=None, preprocessing=None, **settings):
    """Return a model with 3 features, 3 classes and 5 hidden units, unless `settings` differ."""
    defaults = {"input_size": 3, "num_classes": 3, "hidden_size": 5}
    if settings.get("readout") == "flatten":
        defaults["sequence_length"] = 20
    config = ModelConfig(**{**defaults, **settings})
    classifier = SequenceClassifier(config).eval()
    encoder = classifier.encoder
    if encoder is not None:
        encoder.mean.normal_()
        if config.standardize:
            encoder.scale.uniform_(0.5, 2.0)
        for tokens in encoder.tokens.values():
            tokens.known.copy_(torch.rand(len(tokens.known)) < 0.7)
    if config.calibrate:
        classifier.temperature.fill_(1.7)
    manifest = Manifest(
        model=config,
        classes=classes or [f"class {n}" for n in range(config.num_classes)],
        preprocessing=preprocessing or Preprocessing(),
    )
    return trained_model(classifier, manifest)
