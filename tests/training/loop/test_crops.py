"""Random parts of recordings."""

import pytest
import torch

from bothways import Sequences
from bothways.data.batching import IGNORED
from bothways.training.loop.crops import count_crops, random_crops


def make_recordings(*lengths):
    """Return recordings whose labels are the positions of the steps."""
    arrays = [torch.arange(2.0 * length).view(-1, 2) for length in lengths]
    return Sequences.from_arrays(arrays).with_step_labels([torch.arange(n) for n in lengths])


def test_steps_and_labels_of_a_crop_stay_together():
    crops = random_crops(make_recordings(100, 7), 30, torch.Generator().manual_seed(0))
    batch = crops.batch(range(len(crops)))
    valid = batch.labels != IGNORED
    time = batch.inputs.shape[1]
    # A label is the position of its step, and its first feature rises by 2 with each step.
    risen = batch.inputs[..., 0][valid] - batch.inputs[:, :1, 0].expand(-1, time)[valid]
    assert torch.equal(risen, 2.0 * (batch.labels - batch.labels[:, :1])[valid])


@pytest.mark.parametrize("crop_steps", [2, 3, 7, 20, 199, 200, 1000])
def test_crops_contain_each_step_once(crop_steps):
    recordings = make_recordings(200, 1, 2, 3, 5, 21, 199)
    generator = torch.Generator().manual_seed(0)
    cuts = set()
    for _ in range(50):
        crops = random_crops(recordings, crop_steps, generator)
        assert len(crops) == count_crops(recordings.lengths, crop_steps)
        assert crops.lengths.min() >= 1
        assert crops.lengths.max() <= crop_steps
        steps = [range(s, s + n) for s, n in zip(crops.starts, crops.lengths, strict=True)]
        assert sorted(n for part in steps for n in part) == list(range(len(recordings.steps)))
        cuts.add(tuple(crops.starts.tolist()))
    assert len(cuts) > 1 or crop_steps >= 200


def test_crops_are_cut_anywhere():
    generator = torch.Generator().manual_seed(0)
    starts = [random_crops(make_recordings(200), 20, generator).starts[1:] for _ in range(4000)]
    counts = torch.cat(starts).bincount(minlength=200)[2:-1]  # no part is empty
    assert counts.min() > 0.6 * counts.float().mean()
    assert counts.max() < 1.4 * counts.float().mean()
