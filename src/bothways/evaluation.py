"""Run a classifier over labelled sequences and measure it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from bothways.calibration import bound_of, fit_temperature
from bothways.metrics import classification_metrics, expected_calibration_error, log_loss
from bothways.model import SequenceClassifier
from bothways.sequences import Sequences

BATCH_SIZE = 500
"""Rows run at once outside training; a row's answer does not depend on it."""


def compute_logits(
    model: SequenceClassifier,
    sequences: Sequences,
    on_batch: Callable[[int], None] = lambda rows: None,
) -> Tensor:
    """Return logits (count, num_classes), in the order of `sequences`, on the CPU.

    Runs in eval mode without gradients, and leaves the model in the mode it was in. `on_batch` is
    told how many rows each batch had.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    logits = torch.empty(len(sequences), model.config.num_classes)
    try:
        with torch.inference_mode():
            for indices in sequences.by_length(BATCH_SIZE):
                batch = sequences.batch(indices).to(device)
                logits[indices] = model(batch.inputs, batch.lengths).float().cpu()
                on_batch(len(indices))
    finally:
        model.train(was_training)
    return logits


@dataclass(frozen=True)
class Calibration:
    """A temperature, and what it did on the validation split: log loss and calibration error.

    `bound` says where the temperature is the least or the most allowed: the best lies beyond.
    """

    temperature: float
    bound: Literal["least", "most"] | None
    log_loss_before: float
    log_loss_after: float
    error_before: float
    error_after: float


def calibrate(model: SequenceClassifier, validation: Sequences | None) -> Calibration:
    """Fit the model's temperature on the validation split, in place."""
    assert validation is not None  # whoever asks for it has checked
    assert validation.labels is not None
    model.temperature.fill_(1.0)
    logits, labels = compute_logits(model, validation), validation.labels
    temperature = fit_temperature(logits, labels)
    model.temperature.fill_(temperature)
    before, after = (
        (logits.double() / divisor).softmax(dim=1).numpy() for divisor in (1.0, temperature)
    )
    return Calibration(
        temperature,
        bound_of(temperature),
        *(log_loss(probabilities, labels.numpy()) for probabilities in (before, after)),
        *(
            expected_calibration_error(probabilities, labels.numpy())
            for probabilities in (before, after)
        ),
    )


def evaluate(
    model: SequenceClassifier,
    sequences: Sequences,
    classes: Sequence[str],
    on_batch: Callable[[int], None] = lambda rows: None,
) -> dict[str, Any]:
    """Return `bothways.metrics.classification_metrics` of the model on labelled `sequences`."""
    assert sequences.labels is not None  # a Dataset has checked
    probabilities = compute_logits(model, sequences, on_batch).double().softmax(dim=1)
    return classification_metrics(probabilities.numpy(), sequences.labels.numpy(), classes)
