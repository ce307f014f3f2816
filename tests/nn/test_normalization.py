"""The views of numeric features, as `FeatureEncoder` computes them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways import ModelConfig, SequenceClassifier, Sequences
from bothways.kernels.lengths import Lengths
from bothways.nn.normalization import LOG_RATIO_LIMIT
from bothways.nn.preprocessing import FeatureEncoder

SIZE = 2


def fitted(normalization, sequences, **options):
    """Return an encoder with the statistics of `sequences`, a list of arrays."""
    config = ModelConfig(input_size=SIZE, num_classes=2, normalization=normalization, **options)
    encoder = FeatureEncoder(config).eval()
    data = Sequences.from_arrays(sequences)
    encoder.fit(lambda: (chunk.steps for chunk in data.chunks()))
    return encoder


def views_of(encoder, sequence):
    """Return the views of one sequence: arrays (time, features), in their order."""
    inputs = torch.as_tensor(np.asarray(sequence, np.float32))[None]
    encoded = encoder(inputs, Lengths.of(None, *inputs.shape[:2]))[0]
    return [view.numpy() for view in encoded.split(SIZE, dim=1)]


@pytest.fixture
def training(seed):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(5, 60, 20)
    return [(generator.normal(size=(n, SIZE)) * [1, 30] + [5, -100]).astype("f4") for n in lengths]


def test_robust_is_linear_near_the_median_and_logarithmic_in_the_tails(training):
    encoder = fitted("robust", training)
    steps = np.concatenate(training)
    median, scale = encoder.median.numpy(), encoder.scale.numpy()
    np.testing.assert_array_equal(median, np.median(steps, axis=0))
    multiples = np.array([0.01, -0.5, 0.0, 1e4, 1e6, -1e6])
    (found,) = views_of(encoder, median + scale * multiples[:, None])
    np.testing.assert_allclose(
        found[:3], np.repeat(multiples[:3, None], 2, 1), rtol=0.01, atol=1e-4
    )
    expected = 3 * np.log(2 / 3 * np.abs(multiples[3:])) * np.sign(multiples[3:])
    np.testing.assert_allclose(found[3:], np.repeat(expected[:, None], 2, 1), rtol=1e-5)


def test_robust_keeps_values_of_different_decades_apart(seed):
    """The deviation of such values is that of the largest, so that all others are close to 0."""
    generator = np.random.default_rng(seed)
    values = 10.0 ** generator.integers(0, 7, (4000, SIZE)) * generator.choice([-1, 1], (4000, 1))
    values = values.astype("f4")
    apart = {}
    for normalization in ("dataset", "robust"):
        (view,) = views_of(fitted(normalization, [values]), [[1e2] * SIZE, [1e3] * SIZE])
        apart[normalization] = float((view[1] - view[0]).min())
    assert apart["dataset"] < 0.01
    assert apart["robust"] > 0.4


def test_robust_statistics_do_not_depend_on_the_order_of_sequences(training):
    expected = fitted("robust", training).state_dict()
    found = fitted("robust", training[::-1]).state_dict()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_the_views_of_a_sequence(training):
    robust, own, level, log_scale = views_of(fitted("both", training), training[0])
    encoder = fitted("robust", training)
    values = training[0].astype(np.float64)
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    np.testing.assert_allclose(robust, views_of(encoder, values)[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(own, (values - mean) / deviation, rtol=1e-6)
    ratio = (mean - encoder.median.numpy()) / encoder.scale.numpy()
    np.testing.assert_allclose(
        level, np.tile(3 * np.arcsinh(ratio / 3), (len(values), 1)), rtol=1e-5
    )
    expected = np.log(deviation / encoder.scale.numpy())
    np.testing.assert_allclose(log_scale, np.tile(expected, (len(values), 1)), rtol=1e-5)


def test_sequence_is_both_without_the_robust_view(training):
    both, sequence = (
        views_of(fitted(name, training), training[1]) for name in ("both", "sequence")
    )
    assert len(sequence) == 3
    for view, expected in zip(sequence, both[1:], strict=True):
        np.testing.assert_array_equal(view, expected)


def test_nothing_is_lost(training):
    """The value follows from its views: mean + own * deviation."""
    encoder = fitted("sequence", training)
    median, scale = encoder.median.double().numpy(), encoder.scale.double().numpy()
    for factor, shift in ((1, 0), (1e-3, 50), (1e3, -4e4)):
        values = factor * training[2] + np.float32(shift)
        own, level, log_scale = (view.astype(np.float64) for view in views_of(encoder, values))
        mean, deviation = median + 3 * scale * np.sinh(level / 3), scale * np.exp(log_scale)
        tolerance = 1e-5 * (np.abs(values).max() + values.std())
        np.testing.assert_allclose(mean + deviation * own, values, rtol=0, atol=tolerance)


@settings(max_examples=30, deadline=None)
@given(exponent=st.integers(-40, 40), steps=st.integers(-(2**15), 2**15))
def test_scaling_and_shifting_a_sequence_does_not_change_its_own_view(exponent, steps):
    """Powers of 2 and multiples of them, so that no value is rounded to float32."""
    values = np.random.default_rng(0).integers(-64, 64, (30, SIZE)).astype("f4")
    encoder = fitted("sequence", [values])
    expected, level, log_scale = views_of(encoder, values)
    own, moved_level, moved_log_scale = views_of(encoder, 2.0**exponent * (values + steps))
    np.testing.assert_allclose(own, expected, rtol=1e-6)
    ratio = np.clip(log_scale + exponent * math.log(2), -LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    np.testing.assert_allclose(moved_log_scale, ratio, rtol=1e-6, atol=1e-6)
    assert np.array_equal(moved_level, level) == (exponent == steps == 0)


def test_reflecting_a_sequence_reflects_its_own_view(training):
    encoder = fitted("sequence", training)
    own, _, log_scale = views_of(encoder, training[0])
    reflected, _, same = views_of(encoder, -training[0])
    np.testing.assert_array_equal(reflected, -own)
    np.testing.assert_array_equal(same, log_scale)


def test_an_offset_of_10000_with_a_deviation_of_1_is_exact():
    values = 10_000 + np.random.default_rng(0).integers(-2, 3, (500, SIZE)).astype("f4")
    own, _, log_scale = views_of(fitted("sequence", [values]), values)
    wide = values.astype(np.float64)
    np.testing.assert_allclose(own, (wide - wide.mean(0)) / wide.std(0), rtol=3e-7, atol=1e-9)
    assert np.abs(log_scale).max() < 1


@pytest.mark.parametrize("constant", [0.1, 3e38, -1e-45, 1e4 / 3])
@pytest.mark.parametrize("length", [1, 7, 1001])
def test_a_constant_sequence_is_zero_at_the_lowest_scale(constant, length, training):
    encoder = fitted("both", training)
    robust, own, level, log_scale = views_of(encoder, np.full((length, SIZE), constant, "f4"))
    assert not own.any()
    np.testing.assert_array_equal(log_scale, np.float32(-LOG_RATIO_LIMIT))
    np.testing.assert_array_equal(robust, level)


def test_scales_are_bounded(training):
    encoder = fitted("sequence", training)
    noise = np.random.default_rng(0).normal(size=(50, SIZE))
    for factor, expected in ((1e-7, -LOG_RATIO_LIMIT), (1e8, LOG_RATIO_LIMIT)):
        own, _, log_scale = views_of(encoder, factor * noise)
        np.testing.assert_array_equal(log_scale, np.float32(expected))
        np.testing.assert_allclose(own.std(axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize("missing", ["mean", "mask"])
def test_missing_values_are_ignored_and_become_the_mean_of_their_sequence(missing, training):
    encoder = fitted("both", training, missing=missing)
    values = training[3].copy()
    values[::3, 0] = np.nan
    kept = ~np.isnan(values[:, 0])
    views = views_of(encoder, values)
    for view, alone in zip(views[:4], views_of(encoder, values[kept]), strict=False):
        np.testing.assert_array_equal(view[kept, 0], alone[:, 0])
    robust, own, level, _, *masks = views
    assert not own[~kept, 0].any()
    np.testing.assert_array_equal(robust[~kept, 0], level[~kept, 0])
    assert len(masks) == (missing == "mask")
    for mask in masks:
        np.testing.assert_array_equal(mask, np.isnan(values))


def test_missing_values_are_zeros_before_normalization_with_missing_zero(training):
    encoder = fitted("both", training, missing="zero")
    values = training[4].copy()
    values[::2] = np.nan
    for view, expected in zip(
        views_of(encoder, values), views_of(encoder, np.nan_to_num(values)), strict=True
    ):
        np.testing.assert_array_equal(view, expected)


def test_a_feature_that_a_sequence_lacks_is_at_the_median(training):
    encoder = fitted("both", training, missing="mean")
    values = training[5].copy()
    values[:, 0] = np.nan
    robust, own, level, log_scale = views_of(encoder, values)
    assert not any(view[:, 0].any() for view in (robust, own, level))
    assert (log_scale[:, 0] == np.float32(-LOG_RATIO_LIMIT)).all()


@pytest.mark.parametrize("missing", ["mean", "zero", "mask"])
def test_robust_imputes_the_median(missing, training):
    encoder = fitted("robust", training, missing=missing)
    view = views_of(encoder, np.full((1, SIZE), np.nan))[0]
    zero = 3 * np.arcsinh(-encoder.median.numpy() / encoder.scale.numpy() / 3)
    expected = zero if missing == "zero" else np.zeros(SIZE)
    np.testing.assert_allclose(view[0], expected, rtol=1e-6)


@pytest.mark.parametrize("normalization", ["robust", "sequence", "both"])
def test_padding_and_other_rows_change_no_bit(normalization, seed):
    generator = np.random.default_rng(seed)
    lengths = [40, 1, 17, 33, 2, 40]
    arrays = [
        (generator.normal(size=(n, SIZE)) * 10 ** generator.uniform(-3, 3) + 1e3).astype("f4")
        for n in lengths
    ]
    arrays[2][3] = np.nan
    encoder = fitted(normalization, arrays, missing="mask")
    data = Sequences.from_arrays(arrays)
    for rows in ([0, 1, 2, 3, 4, 5], [4, 2], [2, 1, 5]):
        batch = data.batch(rows)
        for filler in (0.0, np.nan, np.inf):
            inputs = torch.nn.functional.pad(batch.inputs, (0, 0, 0, 5))
            for row, length in enumerate(batch.lengths):
                inputs[row, length:] = filler
            encoded = encoder(inputs, Lengths.of(batch.lengths, *inputs.shape[:2]))
            for row, n in enumerate(rows):
                alone = data.batch([n]).inputs
                expected = encoder(alone, Lengths.of(None, *alone.shape[:2]))[0]
                assert torch.equal(encoded[row, : lengths[n]], expected)


@pytest.mark.parametrize("normalization", ["robust", "sequence", "both"])
def test_gradients_of_inputs_are_finite_and_zero_in_the_padding(normalization):
    config = ModelConfig(input_size=SIZE, num_classes=2, hidden_size=3, normalization=normalization)
    inputs = torch.randn(3, 6, SIZE)
    inputs[0] = 2.5  # constant
    inputs[1, 4:] = torch.nan
    inputs.requires_grad_()
    SequenceClassifier(config)(inputs, [6, 4, 6]).sum().backward()
    assert inputs.grad.isfinite().all()
    assert not inputs.grad[1, 4:].any()
    assert inputs.grad[2].any()


@pytest.mark.parametrize("missing", ["mean", "zero", "mask"])
@pytest.mark.parametrize("normalization", ["none", "dataset", "robust", "sequence", "both"])
def test_gradients_with_missing_values(normalization, missing, training):
    """One NaN, or a feature without values, leaves the gradients of the other values correct."""
    encoder = fitted(normalization, training, missing=missing)
    inputs = torch.from_numpy(np.stack([sequence[:5] for sequence in training[:3]])).double()
    inputs[0, 2, 0] = inputs[1, :, 1] = inputs[2, 3:] = torch.nan
    inputs.requires_grad_()
    lengths = Lengths.of([5, 5, 3], *inputs.shape[:2])
    valid = lengths.is_valid(inputs.device)
    known = ~inputs.isnan()

    def encode(values):
        return encoder(inputs.detach().masked_scatter(known, values), lengths)[valid]

    assert torch.autograd.gradcheck(encode, inputs.detach()[known].requires_grad_())
    encoder(inputs, lengths)[valid].sin().sum().backward()
    assert inputs.grad.isfinite().all()
    assert not inputs.grad[~known].any()
    assert inputs.grad[0, :, 1].all()


@pytest.mark.parametrize("missing", ["refuse", "mask"])
@pytest.mark.parametrize(
    ("normalization", "views"),
    [("none", 1), ("dataset", 1), ("robust", 1), ("sequence", 3), ("both", 4)],
)
def test_the_number_of_encoded_features(normalization, views, missing):
    config = ModelConfig(
        input_size=3,
        num_classes=2,
        categories=(0, 9, 0),
        embedding_size=4,
        normalization=normalization,
        missing=missing,
    )
    encoder = FeatureEncoder(config)
    inputs = torch.ones(2, 5, 3)
    encoded = encoder(inputs, Lengths.of([5, 2], 2, 5))
    assert encoded.shape[2] == encoder.encoded_size == 2 * (views + (missing == "mask")) + 4
    assert (encoded[0] != 0).any(dim=1).all()


def test_a_model_of_categories_alone_can_be_normalized():
    config = ModelConfig(input_size=1, num_classes=2, categories=(3,), normalization="both")
    assert SequenceClassifier(config)(torch.ones(2, 4, 1), [4, 2]).shape == (2, 2)
