"""Models with random weights and statistics, for tests of exports."""

import torch

from bothways.config import ModelConfig
from bothways.models.manifest import Manifest
from bothways.models.trained import trained_model
from bothways.nn.classifier import SequenceClassifier

CLASSES = ("no", "yes", "ö, 'x'", "d")


def random_model(seed=0, **settings):
    """Return a trained model of 3 features whose answers depend on all of its weights.

    The weights are larger than initial ones, so that a fault changes logits visibly.
    """
    values = {"input_size": 3, "hidden_size": 5, "num_classes": 4, **settings}
    if values.get("readout") == "flatten":
        values.setdefault("sequence_length", 9)
    config = ModelConfig(**values)
    generator = torch.Generator().manual_seed(seed)
    classifier = SequenceClassifier(config).eval()
    with torch.no_grad():
        for weight in classifier.parameters():
            weight.uniform_(-0.7, 0.7, generator=generator)
    if config.calibrate:
        classifier.temperature.fill_(1.7)
    if classifier.encoder is not None:
        classifier.encoder.mean.normal_(generator=generator)
        if config.standardize:
            classifier.encoder.scale.uniform_(0.5, 2, generator=generator)
        for tokens in classifier.encoder.tokens.values():
            tokens.known[1::2] = True
    return trained_model(classifier, Manifest(model=config, classes=CLASSES[: config.num_classes]))
