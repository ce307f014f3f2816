"""Ragged batches, and their augmentation with a given seed."""

import torch

from bothways.config import Augmentation, ModelConfig
from bothways.data.batching import IGNORED, LabeledBatch
from bothways.kernels.draws import Draws
from bothways.training.loop.augmentation import augment

LENGTHS = torch.tensor([20, 1, 7, 13])
EVERYTHING = {
    "augment_time_shift": 0.2,
    "augment_time_warp": 0.3,
    "augment_scale": 0.2,
    "augment_noise": 0.1,
    "augment_time_mask": 0.3,
    "augment_feature_mask": 0.3,
    "augment_rotation": 10,
    "augment_zoom": 0.1,
    "augment_shear": 0.1,
    "augment_translation": 1.0,
    "augment_elastic": 0.5,
}


def make_generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_draws(seed=0):
    return Draws(make_generator(seed))


def make_batch(features=3, step_labels=False, seed=0):
    """Return a ragged batch whose steps contain their own position as the first feature."""
    inputs = torch.randn(4, 20, features, generator=make_generator(seed))
    inputs[:, :, 0] = torch.arange(20)
    valid = torch.arange(20) < LENGTHS[:, None]
    inputs[~valid] = 0
    labels = torch.arange(4)
    if step_labels:
        labels = torch.arange(20).expand(4, -1).where(valid, IGNORED)
    return LabeledBatch(inputs, LENGTHS, labels)


def model_for(batch, categories=()):
    return ModelConfig(input_size=batch.inputs.shape[2], num_classes=4, categories=categories)


def augmented(batch, seed=0, categories=(), **settings):
    return augment(batch, Augmentation(**settings), model_for(batch, categories), make_draws(seed))
