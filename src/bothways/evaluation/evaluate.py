"""Evaluate a classifier on labeled sequences."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bothways.config import ModelConfig
from bothways.data.batching import IGNORED, batches_by_length
from bothways.data.sequences import LabeledSequences, Sequences
from bothways.evaluation.calibration import bound_of, fit_temperature
from bothways.evaluation.metrics import (
    Metrics,
    Tally,
    classification_metrics,
    expected_calibration_error,
    log_loss,
)
from bothways.evaluation.recordings import labels_of_recordings, mean_over_recordings
from bothways.evaluation.segments import SegmentTally
from bothways.nn.classifier import SequenceClassifier, TorchClassifier

BATCH_SIZE = 500
"""Maximum batch size outside training; the outputs do not depend on it."""

BATCH_STEPS = 1 << 15
"""Maximum number of time steps in a batch outside training, unless one sequence has more."""

BATCH_VALUES = 1 << 22
"""Maximum number of values that preprocessing makes of such a batch, unless one sequence has more:
fewer time steps of many features, so that the memory of a batch is bounded."""


def batch_steps(config: ModelConfig) -> int:
    """Return the maximum number of time steps in a batch of a model, including padding.

    A batch of a single sequence may have more.
    """
    return max(1, min(BATCH_STEPS, BATCH_VALUES // config.encoded_size))


class Classifier(Protocol):
    """What evaluation needs of a model: a `TorchClassifier` or an exported file.

    It is called with inputs (batch, time, input_size) and int64 lengths (batch,), as
    `SequenceClassifier.forward`. A model without parameters runs on the CPU.
    """

    config: ModelConfig
    training: bool

    def __call__(self, inputs: Tensor, lengths: Tensor, /) -> Tensor:
        """Return logits."""

    def train(self, mode: bool = True) -> Any:
        """Set the mode of the model."""

    def eval(self) -> Any:
        """Set eval mode."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the parameters."""


def compute_logits(model: Classifier, sequences: Sequences) -> Tensor:
    """Return logits (count, num_classes), in the order of `sequences`, on the CPU.

    If each time step has a label: (total_steps, num_classes), the sequences end to end. The model
    runs in eval mode without gradients; its own mode is restored.
    """
    of_steps = model.config.target == "step"
    starts = sequences.lengths.cumsum(0) - sequences.lengths
    count = int(sequences.lengths.sum()) if of_steps else len(sequences)
    found = torch.empty(count, model.config.num_classes, dtype=torch.float32)
    for indices, logits in _run(model, sequences):
        if of_steps:
            position = torch.arange(logits.shape[1])
            valid = position < sequences.lengths[indices][:, None]
            found[(starts[indices][:, None] + position)[valid]] = logits[valid]
        else:
            found[indices] = logits
    return found


def compute_features(model: SequenceClassifier, sequences: Sequences) -> Tensor:
    """Return the features that the linear layer receives, (count, features_size), on the CPU.

    The model must not label time steps.
    """
    found = torch.empty(len(sequences), model.linear.in_features, dtype=torch.float32)
    for indices, features in _run(model, sequences, model.features):
        found[indices] = features
    return found


def accuracy_and_loss(model: Classifier, sequences: LabeledSequences) -> tuple[float, float]:
    """Return the accuracy and the mean cross entropy over all labels that are not ignored."""
    hits = count = 0
    loss = 0.0
    for indices, logits in _run(model, sequences):
        labels, logits = sequences.batch_labels(indices).flatten(), logits.flatten(0, -2)
        hits += int((logits.argmax(dim=1) == labels).sum())
        count += int((labels != IGNORED).sum())
        loss += functional.cross_entropy(
            logits, labels, ignore_index=IGNORED, reduction="sum"
        ).item()
    return hits / count, loss / count


def _run(
    model: Classifier,
    sequences: Sequences,
    compute: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the indices of one batch after the other, and what `compute` returns, on the CPU.

    By default, the model computes the logits.
    """
    compute = compute or model
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    was_training = model.training
    model.eval()
    try:
        steps = batch_steps(model.config)
        for indices in batches_by_length(sequences.lengths, BATCH_SIZE, steps):
            batch = sequences.batch(indices)
            with torch.inference_mode():
                found = compute(batch.inputs.to(device), batch.lengths).float().cpu()
            yield indices, found
    finally:
        if was_training:
            model.train()


@dataclass(frozen=True)
class Calibration:
    """A temperature and its effect on the validation set.

    Parameters
    ----------
    temperature : float
    bound : least or most, optional
        If the temperature is at this limit of the allowed range, and the optimum beyond it.
    log_loss_before, log_loss_after : float
    error_before, error_after : float
        Expected calibration errors.
    """

    temperature: float
    bound: Literal["least", "most"] | None
    log_loss_before: float
    log_loss_after: float
    error_before: float
    error_after: float


def calibrate(model: TorchClassifier, validation: LabeledSequences) -> Calibration:
    """Fit the model's temperature on the validation set, in place."""
    model.temperature.fill_(1.0)
    logits, labels = compute_logits(model, validation), validation.flat_labels()
    logits, labels = logits[labels != IGNORED], labels[labels != IGNORED]
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
    model: Classifier,
    sequences: LabeledSequences,
    classes: Sequence[str],
    on_batch: Callable[[int], None] = lambda rows: None,
) -> Metrics:
    """Return the metrics of the model on labeled `sequences`.

    Parameters
    ----------
    model : TorchClassifier or other Classifier
    sequences : LabeledSequences
    classes : sequence of str
        The names of the labels.
    on_batch : callable
        Called after each batch with the number of its sequences.

    Returns
    -------
    Metrics
        With `segments` if time steps are labeled, and otherwise with `recordings` if the sequences
        are windows.
    """
    tally, segments = Tally(classes), SegmentTally()
    of_windows = None
    if sequences.recordings is not None and sequences.target == "sequence":
        of_windows = np.empty((len(sequences), len(classes)))
    for indices, logits in _run(model, sequences):
        labels = sequences.batch_labels(indices).numpy()
        probabilities = logits.double().softmax(dim=-1).numpy()
        known = labels != IGNORED
        tally.add(probabilities[known], labels[known])
        if model.config.target == "step":
            for row, own, counts in zip(probabilities.argmax(axis=-1), labels, known, strict=True):
                segments.add(own[counts], row[counts])
        if of_windows is not None:
            of_windows[indices.numpy()] = probabilities
        on_batch(len(indices))
    metrics = tally.metrics()
    if model.config.target == "step":
        return replace(metrics, segments=segments.metrics())
    if of_windows is not None and sequences.recordings is not None:
        recordings = sequences.recordings.numpy()
        means = mean_over_recordings(of_windows, recordings)
        labels = labels_of_recordings(sequences.labels.numpy(), recordings)
        return replace(metrics, recordings=classification_metrics(means, labels, classes))
    return metrics
