import numpy as np
import pytest
import torch

from bothways import ModelConfig, SequenceClassifier, Sequences
from bothways.nn.preprocessing import FeatureEncoder, FeatureStatistics


def steps_of(sequences):
    return (chunk.steps for chunk in sequences.chunks())


def statistics_of(sequences):
    statistics = FeatureStatistics(sequences.input_size)
    for steps in steps_of(sequences):
        statistics.update(steps)
    return statistics.mean, statistics.scale


def config(**settings):
    return ModelConfig(input_size=3, num_classes=2, hidden_size=4, **settings)


@pytest.fixture
def sequences():
    generator = np.random.default_rng(0)
    arrays = [generator.normal([5, -100, 2], [1, 30, 0], (n, 3)) for n in (3, 9, 4)]
    return Sequences.from_arrays(arrays, labels=[0, 1, 0])


def test_statistics_match_numpy(sequences):
    mean, scale = statistics_of(sequences)
    steps = sequences.steps.numpy().astype(np.float64)
    np.testing.assert_allclose(mean, steps.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scale, [*steps.std(axis=0)[:2], 1], rtol=1e-5)  # one is constant


def test_statistics_use_the_subset_only_and_ignore_nan(sequences):
    part = sequences.subset(torch.tensor([1]))
    steps = part.batch([0]).inputs[0].numpy()
    sequences.steps[4, 0] = torch.nan
    mean, _ = statistics_of(part)
    np.testing.assert_allclose(mean[1:], steps.mean(axis=0)[1:], rtol=1e-6)
    np.testing.assert_allclose(mean[0], np.delete(steps[:, 0], 1).mean(), rtol=1e-6)


def test_jitter_scales_and_shifts_each_feature_of_a_row_in_training_only():
    encoder = FeatureEncoder(config(input_jitter=0.5, missing="mask"))
    inputs = torch.randn(4, 9, 3)
    inputs[1, 2, 0] = torch.nan
    outputs = encoder.train()(inputs)
    slopes = (outputs[:, 1, :3] - outputs[:, 0, :3]) / (inputs[:, 1] - inputs[:, 0])
    shifts = outputs[:, 0, :3] - slopes * inputs[:, 0]
    assert slopes.unique().numel() == shifts.unique().numel() == 12
    expected = slopes[:, None] * inputs.nan_to_num(0.0) + shifts[:, None]
    torch.testing.assert_close(outputs[..., :3], expected)
    assert torch.equal(outputs[..., 3:], inputs.isnan().float())
    assert torch.equal(encoder.eval()(inputs)[..., :3], inputs.nan_to_num(0.0))
    assert SequenceClassifier(config(input_jitter=0.5)).encoder is not None


def test_standard_deviation_is_precise_for_large_offsets():
    steps = torch.tensor([[1e6], [1e6 + 1], [1e6 + 2]]).numpy()
    _, scale = statistics_of(Sequences.from_arrays([steps]))
    torch.testing.assert_close(scale, torch.tensor([(2 / 3) ** 0.5]))


@pytest.mark.parametrize(
    ("missing", "expected"),
    [("mean", [0.0]), ("zero", [-5.0]), ("mask", [0.0, 1.0])],
)
def test_imputation_of_nan(missing, expected):
    encoder = FeatureEncoder(
        ModelConfig(input_size=1, num_classes=2, standardize=True, missing=missing)
    )
    encoder.fit(steps_of(Sequences.from_arrays([np.array([[4.0], [6.0]])])))
    encoded = encoder(torch.tensor([[[torch.nan], [6.0]]]))
    assert encoded.shape == (1, 2, encoder.encoded_size)
    torch.testing.assert_close(encoded[0, 0], torch.tensor(expected))
    torch.testing.assert_close(encoded[0, 1], torch.tensor([1.0, 0.0][: len(expected)]))


def test_standardization_removes_scale_and_shift(sequences):
    logits = []
    for factor, shift in ((1.0, 0.0), (1000.0, -7.0)):
        torch.manual_seed(0)
        model = SequenceClassifier(config(standardize=True)).eval()
        moved = Sequences.from_arrays(
            [factor * sequences.batch([n]).inputs[0].numpy() + shift for n in range(3)]
        )
        model.encoder.fit(steps_of(moved))
        batch = moved.batch([0, 1, 2])
        logits.append(model(batch.inputs, batch.lengths))
    torch.testing.assert_close(*logits, atol=1e-4, rtol=1e-4)


def test_the_statistics_are_saved_with_the_weights():
    assert "encoder.mean" in SequenceClassifier(config(standardize=True)).state_dict()
    assert SequenceClassifier(config()).encoder is None
