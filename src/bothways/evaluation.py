"""Run a classifier over labelled sequences and measure it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from bothways.metrics import classification_metrics
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
