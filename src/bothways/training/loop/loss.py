"""The loss of a batch, and the error if it is not finite."""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Loss:
    """The weighted cross entropy of all labels of a batch.

    It is divided by the number of labels, not by the sum of the weights, so that a batch of heavy
    sequences counts more.

    Parameters
    ----------
    class_weights : float32 Tensor (num_classes,), optional
    label_smoothing : float
    """

    class_weights: Tensor | None
    label_smoothing: float

    def __call__(self, logits: Tensor, batch: LabeledBatch, labeled: Tensor) -> Tensor:
        """Return the loss.

        Parameters
        ----------
        logits : Tensor (batch, num_classes) or, with a label per step, (batch, time, num_classes)
        batch : LabeledBatch
            Its labels may be `IGNORED`, as in the padding.
        labeled : int64 Tensor ()
            Number of labels; of all processes that share the batch.
        """
        losses = functional.cross_entropy(
            logits.flatten(0, -2),
            batch.labels.flatten(),
            ignore_index=IGNORED,
            label_smoothing=self.label_smoothing,
            reduction="none",
        ).view_as(batch.labels)
        return (losses * self._factors(batch, labeled)).sum()

    def with_gradient(
        self, logits: Tensor, batch: LabeledBatch, labeled: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the loss and its gradient, shaped as `logits`; parameters as in `__call__`."""
        factors = self._factors(batch, labeled).unsqueeze(-1)
        labels = batch.labels.clamp(min=0).unsqueeze(-1)
        logarithms = logits.log_softmax(dim=-1)
        targets = torch.zeros_like(logits).scatter_(-1, labels, factors)
        if self.label_smoothing:
            smoothing = self.label_smoothing
            targets = torch.lerp(targets, factors / logits.shape[-1], smoothing)
        gradient = logarithms.exp().mul_(factors).sub_(targets)
        return -(logarithms * targets).sum(), gradient

    def _factors(self, batch: LabeledBatch, labeled: Tensor) -> Tensor:
        """Return the factor of each label in the loss, shaped as the labels; 0 if ignored."""
        labels = batch.labels
        factors = (labels != IGNORED).float() / labeled.clamp(min=1)  # crops may have no label
        if self.class_weights is not None:
            factors = factors * self.class_weights[labels.clamp(min=0)]
        if batch.weights is not None:
            factors = factors * batch.weights.view(-1, *[1] * (labels.dim() - 1))
        return factors


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
