from dataclasses import replace

import numpy as np
import pytest
import torch

from bothways import Sequences
from bothways.data import ragged
from bothways.nn.feature_statistics import FeatureStatistics, robust_statistics, values_at_ranks
from bothways.storage.mapped_steps import StepWriter


def chunks_of(sequences):
    return lambda: (chunk.steps for chunk in sequences.chunks())


def statistics_of(chunks, input_size):
    statistics = FeatureStatistics(input_size)
    for steps in chunks():
        statistics.update(steps)
    return statistics


def robust(values, size=None):
    """Return the median and the scale of values (steps, features), read in chunks of `size`."""
    steps = torch.from_numpy(np.asarray(values, np.float32))

    def chunks():
        return steps.split(size or len(steps))

    return robust_statistics(chunks, statistics_of(chunks, steps.shape[1]))


@pytest.fixture
def sequences():
    generator = np.random.default_rng(0)
    arrays = [generator.normal([5, -100, 2], [1, 30, 0], (n, 3)) for n in (3, 9, 4)]
    return Sequences.from_arrays(arrays, labels=[0, 1, 0])


def test_mean_and_deviation_match_numpy(sequences):
    statistics = statistics_of(chunks_of(sequences), 3)
    steps = sequences.steps.numpy().astype(np.float64)
    np.testing.assert_allclose(statistics.mean, steps.mean(axis=0), rtol=1e-6)
    deviations = [*steps.std(axis=0)[:2], 1]  # one feature is constant
    np.testing.assert_allclose(statistics.scale, deviations, rtol=1e-5)


def test_statistics_use_the_subset_only_and_ignore_nan(sequences):
    part = sequences.subset(torch.tensor([1]))
    steps = part.batch([0]).inputs[0].numpy()
    sequences.steps[4, 0] = torch.nan
    statistics = statistics_of(chunks_of(part), 3)
    np.testing.assert_allclose(statistics.mean[1:], steps.mean(axis=0)[1:], rtol=1e-6)
    np.testing.assert_allclose(statistics.mean[0], np.delete(steps[:, 0], 1).mean(), rtol=1e-6)
    median, _ = robust_statistics(chunks_of(part), statistics)
    np.testing.assert_array_equal(median[0], np.median(np.delete(steps[:, 0], 1)))


def test_standard_deviation_is_precise_for_large_offsets():
    steps = torch.tensor([[1e6], [1e6 + 1], [1e6 + 2]])
    scale = statistics_of(lambda: [steps], 1).scale
    torch.testing.assert_close(scale, torch.tensor([(2 / 3) ** 0.5]))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 998])
@pytest.mark.parametrize("size", [1, 7, None])
def test_quartiles_are_those_of_numpy(count, size, seed):
    """Values over 60 decades, both signs, with ties and missing values."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(count, 3)) * 10 ** generator.uniform(-30, 30, (count, 3))
    values[:, 1] = generator.integers(-2, 3, count)
    values = values.astype(np.float32)
    values[1:][generator.random((count - 1, 3)) < 0.2] = np.nan
    first, median, third = np.nanquantile(values.astype(np.float64), [0.25, 0.5, 0.75], axis=0)
    found, scale = robust(values, size)
    np.testing.assert_array_equal(found, median.astype(np.float32))
    varies = third > first
    np.testing.assert_array_equal(scale[varies], ((third - first) / 1.349)[varies].astype("f4"))


def test_the_scale_of_normal_values_is_their_deviation():
    median, scale = robust(np.random.default_rng(0).normal(7, 3, (200_000, 1)))
    assert abs(median.item() - 7) < 0.03
    assert abs(scale.item() - 3) < 0.03


def test_rare_huge_values_hardly_change_the_statistics():
    values = np.random.default_rng(0).normal(size=(1000, 1))
    expected = robust(values)
    values[:10] = 1e30
    for found, usual in zip(robust(values), expected, strict=True):
        assert abs(found - usual) < 0.05


def test_the_scale_without_an_interquartile_range():
    rare, constant, absent = np.zeros(100), np.full(100, 3.3), np.full(100, np.nan)
    rare[:20] = 5
    median, scale = robust(np.stack([rare, constant, absent], axis=1), 9)
    assert median.tolist() == [0, np.float32(3.3), 0]
    np.testing.assert_allclose(scale, [rare.std(), 1, 1], rtol=1e-6)


@pytest.mark.parametrize("nan", [np.nan, -np.nan])
def test_ranks_include_infinity_and_the_smallest_numbers_and_skip_nan(nan):
    values = np.array([np.inf, 1e-45, nan, -0.0, -np.inf, -1e-45, 3e38, -3e38], np.float32)
    steps = torch.from_numpy(values[:, None])
    (found,) = values_at_ranks(lambda: [steps], torch.arange(7)[None])
    np.testing.assert_array_equal(found, np.sort(values)[:7])


def test_data_in_a_file_and_in_small_chunks_give_the_same_statistics(sequences, monkeypatch):
    expected = robust_statistics(chunks_of(sequences), statistics_of(chunks_of(sequences), 3))
    writer = StepWriter()
    writer.append(sequences.steps.numpy())
    writer.spill()
    steps, in_file = writer.finish()
    assert in_file
    monkeypatch.setattr(ragged, "CHUNK_VALUES", 12)
    chunks = chunks_of(replace(sequences, steps=steps, in_file=in_file))
    assert len(list(chunks())) > 1
    for found, value in zip(
        robust_statistics(chunks, statistics_of(chunks, 3)), expected, strict=True
    ):
        assert torch.equal(found, value)
