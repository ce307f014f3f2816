"""Augment a batch as the settings say."""

from dataclasses import replace

import torch
from torch import Tensor

from bothways.config import Augmentation, ModelConfig
from bothways.data.batching import IGNORED, LabeledBatch
from bothways.kernels.draws import Draws
from bothways.kernels.lengths import Lengths
from bothways.training.loop.augmentation.images import transform_images
from bothways.training.loop.augmentation.values import (
    add_noise,
    feature_mask,
    means_over_time,
    scale,
    time_mask,
)
from bothways.training.loop.augmentation.warping import random_positions, resample, resample_labels


def augment(
    batch: LabeledBatch, settings: Augmentation, model: ModelConfig, draws: Draws
) -> LabeledBatch:
    """Return the batch with a random change of each sequence, as the settings say.

    Parameters
    ----------
    batch : LabeledBatch
        Not changed.
    settings : Augmentation
    model : ModelConfig
        Uses `categories`: values of categorical features are moved and masked, but not computed.
    draws : Draws
        From a generator on the device of the batch.

    Returns
    -------
    LabeledBatch
        With the same lengths; zero in the padding. Labels of time steps move with their steps.
    """
    lengths = batch.lengths.to(batch.inputs.device)
    checked = Lengths.of(batch.lengths, *batch.inputs.shape[:2])
    valid = checked.is_valid(lengths.device)
    inputs, labels = batch.inputs, batch.labels

    def zero_padding(inputs: Tensor) -> Tensor:
        return inputs if checked.are_full else torch.where(valid[..., None], inputs, 0.0)

    if settings.augment_time_shift or settings.augment_time_warp:
        shift, warp = settings.augment_time_shift, settings.augment_time_warp
        positions = random_positions(lengths, inputs.shape[1], shift, warp, draws)
        inputs = resample(inputs, positions, model.categorical_features)
        if labels.dim() > 1:
            labels = resample_labels(labels, positions).masked_fill(~valid, IGNORED)
        inputs = zero_padding(inputs)
    if settings.image_changes:
        inputs = transform_images(inputs, lengths, settings, draws)
    if settings.augments_values:
        inputs = _change_values(inputs, checked, settings, model, draws)
    return replace(batch, inputs=zero_padding(inputs), labels=labels)


def _change_values(
    inputs: Tensor, lengths: Lengths, settings: Augmentation, model: ModelConfig, draws: Draws
) -> Tensor:
    """Scale numeric features and add noise; replace masked values by the mean or unknown."""
    numeric = model.numeric_features
    values = inputs[..., numeric]
    numeric_means = means_over_time(values, lengths)
    if settings.augment_scale:
        values = scale(values, numeric_means, settings.augment_scale, draws)
    if settings.augment_noise:
        values = add_noise(values, numeric_means, lengths, settings.augment_noise, draws)
    inputs = inputs.clone()
    inputs[..., numeric] = values
    means = torch.zeros_like(inputs[:, :1])  # 0 is the unknown category
    means[..., numeric] = numeric_means
    batch, time, features = inputs.shape
    if settings.augment_time_mask:
        masked = time_mask(
            lengths.values.to(inputs.device), time, settings.augment_time_mask, draws
        )
        inputs = torch.where(masked[..., None], means, inputs)
    if settings.augment_feature_mask:
        masked = feature_mask(batch, features, settings.augment_feature_mask, draws)
        inputs = torch.where(masked, means, inputs)
    return inputs
