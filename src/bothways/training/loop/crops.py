"""Random parts of long recordings whose time steps have labels."""

from dataclasses import replace

import torch
from torch import Tensor

from bothways.data.sequences import LabeledSequences


def count_crops(lengths: Tensor, crop_steps: int | None) -> int:
    """Return the number of sequences that `random_crops` returns."""
    return len(lengths) if crop_steps is None else int(_counts(lengths, crop_steps).sum())


def random_crops(
    sequences: LabeledSequences, crop_steps: int | None, generator: torch.Generator
) -> LabeledSequences:
    """Return parts of the sequences, of at most `crop_steps` time steps each.

    A sequence of n time steps is represented by n / `crop_steps` parts, rounded up. They start at
    equal distances, each shifted by a random number of steps up to half of the distance, so that
    all steps occur about equally often.

    Parameters
    ----------
    sequences : LabeledSequences
        With labels of time steps.
    crop_steps : int, optional
        Default: the sequences are returned as they are.
    generator : torch.Generator

    Returns
    -------
    LabeledSequences
        They share the steps and labels of `sequences`.
    """
    if crop_steps is None:
        return sequences
    counts = _counts(sequences.lengths, crop_steps)
    rows = torch.arange(len(counts)).repeat_interleave(counts)
    number = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]  # within its sequence
    crops = sequences.subset(rows)
    room = (crops.lengths - crop_steps).clamp(min=0)
    distance = room / (counts[rows] - 1).clamp(min=1)
    shift = torch.rand(len(rows), dtype=torch.float32, generator=generator) - 0.5
    offsets = ((number + shift) * distance).round().long().clamp(min=0).minimum(room)
    return replace(
        crops, starts=crops.starts + offsets, lengths=crops.lengths.clamp(max=crop_steps)
    )


def _counts(lengths: Tensor, crop_steps: int) -> Tensor:
    return (lengths + crop_steps - 1) // crop_steps
