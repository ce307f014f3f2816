import pytest
import torch

from bothways import ModelConfig, SequenceClassifier
from bothways.errors import ConfigError
from bothways.kernels.lengths import Lengths


def model(**settings):
    torch.manual_seed(0)
    return SequenceClassifier(
        ModelConfig(input_size=3, num_classes=2, hidden_size=8, stem_channels=5, **settings)
    ).eval()


@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_lengths_and_outputs_match_those_of_each_row_alone(kernel, stride):
    stem = model(stem_kernel=kernel, stem_stride=stride, stem_layers=2).stem
    lengths = torch.tensor([1, 2, 3, 10, 17, 24])
    inputs = torch.randn(6, 24, 3)
    for row, length in enumerate(lengths.tolist()):
        inputs[row, length:] = torch.nan
    outputs, shorter = stem(inputs, Lengths.of(lengths, 6, 24))
    for row, length in enumerate(lengths.tolist()):
        alone, steps = stem(inputs[row : row + 1, :length], Lengths.of(None, 1, length))
        steps = int(steps.values)
        assert alone.shape[1] == steps == shorter.values[row]
        torch.testing.assert_close(outputs[row, :steps], alone[0], atol=1e-6, rtol=1e-5)


def test_without_stride_the_stem_is_a_convolution():
    stem = model(stem_stride=1, stem_layers=1).stem
    inputs = torch.randn(2, 9, 3)
    outputs, _ = stem(inputs, Lengths.of(None, 2, 9))
    expected = torch.relu(stem.convolutions[0](inputs.transpose(1, 2))).transpose(1, 2)
    torch.testing.assert_close(outputs, expected)


@pytest.mark.parametrize("readout", ["last", "final", "mean", "max", "attention"])
def test_logits_depend_on_the_row_only(readout):
    classifier = model(readout=readout)
    inputs, lengths = torch.randn(4, 50, 3), torch.tensor([50, 7, 1, 33])
    together = classifier(inputs, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = classifier(inputs[row : row + 1, :length])
        torch.testing.assert_close(together[row], alone[0], atol=1e-5, rtol=1e-4)


def test_contradictory_settings():
    with pytest.raises(ConfigError, match="stem_kernel is 4; expected an odd number"):
        model(stem_kernel=4)
    with pytest.raises(ConfigError, match="stem_channels is 5 but readout is 'flatten'"):
        model(readout="flatten", sequence_length=9)
