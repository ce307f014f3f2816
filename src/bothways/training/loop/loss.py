"""The loss of a batch, and the error if it is not finite."""

import torch
from torch import Tensor
from torch.nn import functional

from bothways.config import TrainConfig
from bothways.data.batching import IGNORED, LabeledBatch, balanced_weights, normalized_weights
from bothways.data.sequences import LabeledSequences
from bothways.errors import NonFiniteLossError


def class_weights(
    config: TrainConfig, sequences: LabeledSequences, num_classes: int
) -> Tensor | None:
    """Return the weights (num_classes,) of the classes in the loss; None if all are equal.

    Their mean over all labels of `sequences` is 1.
    """
    setting = config.class_weights
    if setting == "none":
        return None
    counts = sequences.label_counts(num_classes)
    if setting == "balanced":
        return balanced_weights(counts)
    return normalized_weights(counts, torch.tensor(setting, dtype=torch.float32))


def summed_loss(
    logits: Tensor, batch: LabeledBatch, weights: Tensor | None, label_smoothing: float
) -> Tensor:
    """Return the weighted sum of the cross entropies of all labels.

    Training divides it by the number of labels, not by the sum of the weights, so that a batch of
    heavy sequences counts more.

    Parameters
    ----------
    logits : Tensor (batch, num_classes) or, with a label per step, (batch, time, num_classes)
    batch : LabeledBatch
        Its labels may be `IGNORED`, as in the padding.
    weights : Tensor (num_classes,), optional
        Of the classes.
    label_smoothing : float
    """
    labels = batch.labels
    losses = functional.cross_entropy(
        logits.flatten(0, -2),
        labels.flatten(),
        ignore_index=IGNORED,
        label_smoothing=label_smoothing,
        reduction="none",
    ).view_as(labels)
    if weights is not None:
        losses = losses * weights[labels.clamp(min=0)]
    if batch.weights is not None:
        losses = losses * batch.weights.view(-1, *[1] * (labels.dim() - 1))
    return losses.sum()


def not_finite(
    fact: str, expected: str, epoch: int, step: int, config: TrainConfig
) -> NonFiniteLossError:
    """Return the error about a loss or a weight in `step` of `epoch`, both from 1."""
    changes = [f"{name} {value:g}" for name, value in config.active_augmentations.items()]
    weaker = f", weaker augmentation (now {', '.join(changes)})" if changes else ""
    return NonFiniteLossError(
        f"{fact} in epoch {epoch}, step {step}; expected {expected}. "
        f"Try a lower learning_rate (now {config.learning_rate:g}){weaker} or gradient_clip=1, "
        "and look for extreme values in the data."
    )
