import numpy as np
import pytest
import torch

from bothways import ModelConfig, SequenceClassifier, Sequences
from bothways.kernels.lengths import Lengths
from bothways.nn.preprocessing import FeatureEncoder


def chunks_of(sequences):
    return lambda: (chunk.steps for chunk in sequences.chunks())


def encoded_by(encoder, inputs):
    return encoder(inputs, Lengths.of(None, *inputs.shape[:2]))


def config(**settings):
    return ModelConfig(input_size=3, num_classes=2, hidden_size=4, **settings)


@pytest.fixture
def sequences():
    generator = np.random.default_rng(0)
    arrays = [generator.normal([5, -100, 2], [1, 30, 0], (n, 3)) for n in (3, 9, 4)]
    return Sequences.from_arrays(arrays, labels=[0, 1, 0])


def test_jitter_scales_and_shifts_each_feature_of_a_row_in_training_only():
    encoder = FeatureEncoder(config(input_jitter=0.5, missing="mask"))
    inputs = torch.randn(4, 9, 3)
    inputs[1, 2, 0] = torch.nan
    outputs = encoded_by(encoder.train(), inputs)
    slopes = (outputs[:, 1, :3] - outputs[:, 0, :3]) / (inputs[:, 1] - inputs[:, 0])
    shifts = outputs[:, 0, :3] - slopes * inputs[:, 0]
    assert slopes.unique().numel() == shifts.unique().numel() == 12
    expected = slopes[:, None] * inputs.nan_to_num(0.0) + shifts[:, None]
    torch.testing.assert_close(outputs[..., :3], expected)
    assert torch.equal(outputs[..., 3:], inputs.isnan().float())
    assert torch.equal(encoded_by(encoder.eval(), inputs)[..., :3], inputs.nan_to_num(0.0))
    assert SequenceClassifier(config(input_jitter=0.5)).encoder is not None


@pytest.mark.parametrize(
    ("missing", "expected"),
    [("mean", [0.0]), ("zero", [-5.0]), ("mask", [0.0, 1.0])],
)
def test_imputation_of_nan(missing, expected):
    encoder = FeatureEncoder(
        ModelConfig(input_size=1, num_classes=2, normalization="dataset", missing=missing)
    )
    encoder.fit(chunks_of(Sequences.from_arrays([np.array([[4.0], [6.0]])])))
    encoded = encoded_by(encoder, torch.tensor([[[torch.nan], [6.0]]]))
    assert encoded.shape == (1, 2, encoder.encoded_size)
    torch.testing.assert_close(encoded[0, 0], torch.tensor(expected))
    torch.testing.assert_close(encoded[0, 1], torch.tensor([1.0, 0.0][: len(expected)]))


def test_standardization_removes_scale_and_shift(sequences):
    logits = []
    for factor, shift in ((1.0, 0.0), (1000.0, -7.0)):
        torch.manual_seed(0)
        model = SequenceClassifier(config(normalization="dataset")).eval()
        moved = Sequences.from_arrays(
            [factor * sequences.batch([n]).inputs[0].numpy() + shift for n in range(3)]
        )
        model.encoder.fit(chunks_of(moved))
        batch = moved.batch([0, 1, 2])
        logits.append(model(batch.inputs, batch.lengths))
    torch.testing.assert_close(*logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("normalization", ["sequence", "both"])
def test_jitter_changes_all_views_of_a_sequence(normalization):
    encoder = FeatureEncoder(config(input_jitter=0.5, normalization=normalization))
    inputs = torch.randn(4, 9, 3)
    clean, jittered = (encoded_by(encoder.train(mode), inputs) for mode in (False, True))
    assert (jittered != clean).all()
    of_sequence = jittered[..., -6:]  # level and log scale remain the same at all steps
    torch.testing.assert_close(of_sequence, of_sequence[:, :1].expand_as(of_sequence))


def test_jitter_only_shifts_the_level_and_the_scale_of_a_sequence():
    encoder = FeatureEncoder(config(input_jitter=0.5, normalization="sequence"))
    inputs = 1e4 * torch.randn(200, 9, 3)
    clean, jittered = (encoded_by(encoder.train(mode), inputs) for mode in (False, True))
    shifts = (jittered - clean)[:, 0, -6:]
    assert clean[:, 0, -3:].min() > 7  # a factor would change the log scale by more than a shift
    assert shifts.std() == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize(
    ("normalization", "center"),
    [("dataset", "mean"), ("robust", "median"), ("sequence", "median"), ("both", "median")],
)
def test_the_statistics_are_saved_with_the_weights(normalization, center):
    state = SequenceClassifier(config(normalization=normalization)).state_dict()
    assert {name for name in state if "encoder" in name} == {f"encoder.{center}", "encoder.scale"}


def test_a_model_without_preprocessing_has_no_encoder():
    assert SequenceClassifier(config()).encoder is None
