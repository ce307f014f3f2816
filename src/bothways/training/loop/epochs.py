"""The epochs of a training: how many there are, and the batches of each."""

import torch
from torch import Tensor

from bothways.config import TrainConfig
from bothways.data.batching import balanced_weights, shuffled_batches
from bothways.data.sequences import LabeledSequences
from bothways.errors import counted
from bothways.training.loop.crops import count_crops, random_crops

EPOCH_STEPS = 100
"""If the length of a training is given in steps, an epoch has about this many steps or more."""

BATCHES = 64
SMALLEST_BATCH, LARGEST_BATCH = 16, 128
"""Batches of a pass with batch size auto, and the limits of their size."""


class Epochs:
    """The batches of a training, which depend on the data, the settings and the seed only.

    Parameters
    ----------
    sequences : LabeledSequences
        The training set.
    config : TrainConfig

    Attributes
    ----------
    num_epochs : int
    passes : int
        How often an epoch goes through the training set: once or, if the settings give the number
        of steps, as often as `EPOCH_STEPS` steps need.
    batch_size : int
    steps_per_epoch : int
        Optimizer steps.
    sequences_per_epoch : int
        Sequences in all batches of an epoch.
    """

    def __init__(self, sequences: LabeledSequences, config: TrainConfig) -> None:
        self._sequences, self._config = sequences, config
        count = count_crops(sequences.lengths, config.crop_steps)
        size = config.batch_size
        self.batch_size = batch_size_for(count) if size == "auto" else size
        steps_of_pass = -(-count // self.batch_size)
        steps, epochs = config.steps or 0, config.epochs or 0
        self.passes = max(1, round(min(EPOCH_STEPS, steps) / steps_of_pass))
        self.steps_per_epoch = self.passes * steps_of_pass
        self.num_epochs = max(1, round(steps / self.steps_per_epoch), -(-epochs // self.passes))
        self.sequences_per_epoch = self.passes * count

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the training, unless `patience` ends it earlier."""
        return self.global_step(self.num_epochs, 0)

    @property
    def length_note(self) -> str | None:
        """A note if the training has another length than the `steps` of the settings."""
        steps, total = self._config.steps, self.total_steps
        if steps is None or self._config.epochs is not None or steps == total:
            return None
        of_pass = self.steps_per_epoch // self.passes
        if steps < of_pass:
            reason = f"less than one pass over the training set ({of_pass:,} batches)"
        else:
            reason = f"rounded to whole epochs of {counted(self.steps_per_epoch, 'step')}"
        return f"steps={steps} is {reason}: training for {counted(total, 'step')}"

    def global_step(self, epoch: int, step: int) -> int:
        """Return the number of optimizer steps in `epoch` epochs and `step` steps."""
        return epoch * self.steps_per_epoch + step

    def batches(self, epoch: int) -> list[tuple[LabeledSequences, Tensor]]:
        """Return the batches of epoch number `epoch`, from 0.

        Returns
        -------
        list of tuple
            The sequences of a pass over the training set, and the indices of a batch of them.
        """
        config = self._config
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        batches: list[tuple[LabeledSequences, Tensor]] = []
        for _ in range(self.passes):
            sequences = random_crops(self._sequences, config.crop_steps, generator)
            weights = sampling_weights(sequences) if config.sampling == "balanced" else None
            order = shuffled_batches(sequences.lengths, self.batch_size, generator, weights)
            batches.extend((sequences, rows) for rows in order)
        return batches


def batch_size_for(count: int) -> int:
    """Return the batch size `auto` for a training set of `count` sequences."""
    return min(max(count // BATCHES, SMALLEST_BATCH), LARGEST_BATCH)


def sampling_weights(sequences: LabeledSequences) -> Tensor:
    """Return the mean class weight of the labels of each sequence, float32 (count,).

    If sequences have labels, all classes are drawn equally often; otherwise, sequences with rare
    classes are drawn more often. Sequences whose time steps have no label are
    not drawn.
    """
    counts = sequences.class_counts(sequences.largest_label + 1)
    weights = balanced_weights(counts.sum(dim=0))
    return (counts * weights).sum(dim=1) / counts.sum(dim=1).clamp(min=1)
