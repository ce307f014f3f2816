"""Models with random weights and statistics, for tests of exports."""

import torch

from bothways.config import ModelConfig
from bothways.models.manifest import Manifest, Preprocessing
from bothways.models.trained import trained_model
from bothways.nn.ensemble import make_classifier

CLASSES = ("no", "yes", "ö, 'x'", "d")


def random_model(seed=0, *, classes=CLASSES, preprocessing=None, **settings):
    """Return a trained model of 3 features whose answers depend on all of its weights.

    The weights are larger than initial ones, so that a fault changes logits visibly, but not so
    large that the recurrence amplifies differences of rounding from step to step.
    """
    values = {"input_size": 3, "hidden_size": 5, "num_classes": 4, **settings}
    if "flatten" in values.get("readout", ""):
        values.setdefault("sequence_length", 9)
    config = ModelConfig(**values)
    generator = torch.Generator().manual_seed(seed)
    classifier = make_classifier(config).eval()
    bound = 1.6 / config.hidden_size**0.5  # torch's initial bound is 1 / hidden_size**0.5
    with torch.no_grad():
        for weight in classifier.parameters():
            weight.uniform_(-bound, bound, generator=generator)
    if config.calibrate:
        classifier.temperature.fill_(1.7)
    encoders = [network.encoder for network in classifier.networks]
    for encoder in filter(None, encoders):
        encoder.center.normal_(generator=generator)
        if config.normalization != "none":
            encoder.scale.uniform_(0.5, 2, generator=generator)
        for tokens in encoder.tokens.values():
            tokens.known[1::2] = True
    manifest = Manifest(
        model=config,
        classes=classes[: config.num_classes],
        preprocessing=preprocessing or Preprocessing(),
    )
    return trained_model(classifier, manifest)


def three_class_model(**settings):
    """Return a random model with classes "class 0" to "class 2" and, with flatten, 20 steps."""
    settings = {"num_classes": 3, **settings}
    names = tuple(f"class {n}" for n in range(settings["num_classes"]))
    if "flatten" in settings.get("readout", ""):
        settings.setdefault("sequence_length", 20)
    return random_model(**{"classes": names, **settings})
