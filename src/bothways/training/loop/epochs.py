"""The epochs of a training: how many there are, and the batches of each."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bothways.config import TrainConfig
from bothways.data.batching import balanced_weights, padding_waste, shuffled_batches
from bothways.data.sequences import LabeledSequences
from bothways.training.loop.crops import count_crops, random_crops

EPOCH_STEPS = 100
"""If the length of a training is given in steps, an epoch has about this many steps or more."""

BATCHES = 64
SMALLEST_BATCH, LARGEST_BATCH = 16, 128
"""Batches of a pass with batch size auto, and the limits of their size."""


@dataclass(frozen=True)
class EpochBatches:
    """The batches of one epoch.

    Parameters
    ----------
    passes : list of LabeledSequences
        What each pass over the training part consists of.
    batches : list of tuple
        The number of the pass, and the indices of the sequences of a batch.
    """

    passes: list[LabeledSequences]
    batches: list[tuple[int, Tensor]]

    def __len__(self) -> int:
        return len(self.batches)

    @property
    def padding_waste(self) -> float:
        """Fraction of the time steps of all batches that is padding."""
        return padding_waste(self.passes[number].lengths[rows] for number, rows in self.batches)


class Epochs:
    """The batches of a training, which depend on the data, the settings and the seed only.

    Parameters
    ----------
    sequences : LabeledSequences
        The training part.
    config : TrainConfig

    Attributes
    ----------
    count : int
        Number of epochs.
    passes : int
        How often an epoch goes through the training part: once or, if the settings give the number
        of steps, as often as `EPOCH_STEPS` steps need.
    batch_size : int
    steps : int
        Optimizer steps of an epoch.
    sequences_seen : int
        Sequences in the batches of an epoch.
    """

    def __init__(self, sequences: LabeledSequences, config: TrainConfig) -> None:
        self._sequences, self._config = sequences, config
        self._odds = balanced_odds(sequences) if config.sampling == "balanced" else None
        count = count_crops(sequences.lengths, config.crop_steps)
        size = config.batch_size
        self.batch_size = batch_size_for(count) if size == "auto" else size
        steps_of_pass = -(-count // self.batch_size)
        steps, epochs = config.steps or 0, config.epochs or 0
        self.passes = max(1, round(min(EPOCH_STEPS, steps) / steps_of_pass))
        self.steps = self.passes * steps_of_pass
        self.count = max(1, round(steps / self.steps), -(-epochs // self.passes))
        self.sequences_seen = self.passes * count

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the training, unless `patience` ends it earlier."""
        return self.count * self.steps

    def batches(self, epoch: int) -> EpochBatches:
        """Return the batches of epoch number `epoch`, from 0."""
        config = self._config
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        found = EpochBatches([], [])
        for number in range(self.passes):
            sequences = random_crops(self._sequences, config.crop_steps, generator)
            odds = self._odds
            if config.sampling == "balanced" and config.crop_steps is not None:
                odds = balanced_odds(sequences)
            order = shuffled_batches(sequences.lengths, self.batch_size, generator, odds)
            found.passes.append(sequences)
            found.batches.extend((number, rows) for rows in order)
        return found


def batch_size_for(count: int) -> int:
    """Return the batch size `auto` for a training part of `count` sequences."""
    return min(max(count // BATCHES, SMALLEST_BATCH), LARGEST_BATCH)


def balanced_odds(sequences: LabeledSequences) -> Tensor:
    """Return relative probabilities (count,) with which all classes are drawn equally often.

    Sequences without labels are not drawn.
    """
    counts = sequences.class_counts(sequences.largest_label + 1)
    weights = balanced_weights(counts.sum(dim=0))
    return (counts * weights).sum(dim=1) / counts.sum(dim=1).clamp(min=1)
