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

    Each sequence is cut at random into parts that together contain each of its time steps once: the
    cuts are at equal distances, and the first one is anywhere within this distance.

    Parameters
    ----------
    sequences : LabeledSequences
        With labels of time steps.
    crop_steps : int, optional
        At least 2. Default: the sequences are returned as they are.
    generator : torch.Generator

    Returns
    -------
    LabeledSequences
        They share the steps and labels of `sequences`.
    """
    if crop_steps is None:
        return sequences
    counts = _counts(sequences.lengths, crop_steps)
    phases = torch.rand(len(counts), dtype=torch.float64, generator=generator)
    rows = torch.arange(len(counts)).repeat_interleave(counts)
    number = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]  # within its sequence
    crops, counts, phases = sequences.subset(rows), counts[rows], phases[rows]

    def cut(number: Tensor) -> Tensor:
        """Return where part `number` begins."""
        distance = crops.lengths / (counts - 1).clamp(min=1)
        place = ((number - phases) * distance + 0.5).floor().long()
        # No part is empty; the first one begins at 0, the last one ends with the sequence.
        place = torch.minimum(torch.maximum(place, number), crops.lengths - (counts - number))
        return torch.where(number == 0, 0, torch.where(number == counts, crops.lengths, place))

    begins, ends = cut(number), cut(number + 1)
    return replace(crops, starts=crops.starts + begins, lengths=ends - begins)


def _counts(lengths: Tensor, crop_steps: int) -> Tensor:
    """Return the number of parts of each sequence."""
    return torch.where(lengths <= crop_steps, 1, (lengths + crop_steps - 1) // crop_steps + 1)
