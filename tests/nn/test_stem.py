import pytest
import torch

from bothways import ModelConfig, SequenceClassifier
from bothways.errors import ConfigError
from bothways.kernels.lengths import Lengths
from bothways.nn.stem import LARGEST_FACTOR


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


def started(inputs, lengths=None, **settings):
    """Return a stem before and after it has started with differences."""
    before, after = model(**settings).stem, model(**settings).stem
    after.start_with_differences(inputs, Lengths.of(lengths, *inputs.shape[:2]))
    return before.convolutions[0], after.convolutions[0]


def random_walk(batch=6, time=200):
    return torch.randn(batch, time, 3, generator=torch.Generator().manual_seed(1)).cumsum(dim=1)


def test_half_of_the_first_channels_start_as_differences():
    before, after = started(random_walk())
    assert torch.equal(before.weight[2:], after.weight[2:])
    assert torch.equal(before.bias, after.bias)
    torch.testing.assert_close(after.weight[:2].sum(dim=2), torch.zeros(2, 3), atol=1e-5, rtol=0)
    ratios = after.weight[:2] / (before.weight[:2] - before.weight[:2].mean(dim=2, keepdim=True))
    assert bool((ratios > 1).all())  # the changes of a random walk are smaller than its values
    torch.testing.assert_close(ratios, ratios[:, :1, :1].expand_as(ratios), atol=0, rtol=1e-3)


@pytest.mark.parametrize("stride", [1, 2])
def test_differences_deviate_as_the_other_channels(stride):
    inputs = random_walk()
    lengths = torch.tensor([200, 3, 60, 1, 199, 120])
    for row, length in enumerate(lengths.tolist()):
        inputs[row, length:] = torch.nan
    _, after = started(inputs, lengths, stem_stride=stride)
    steps = [
        after(inputs[row : row + 1, :length].transpose(1, 2))[0]
        for row, length in enumerate(lengths.tolist())
    ]
    deviations = torch.cat(steps, dim=1).std(dim=1, correction=0)
    target = deviations[2:].mean().expand(2)
    torch.testing.assert_close(deviations[:2], target, atol=0, rtol=1e-4)


def test_differences_are_not_amplified_without_limit():
    before, after = started(torch.linspace(0, 1, 10_000)[None, :, None].expand(1, -1, 3).clone())
    centered = before.weight[:2] - before.weight[:2].mean(dim=2, keepdim=True)
    assert (after.weight[:2] / centered).max().item() == pytest.approx(LARGEST_FACTOR, rel=1e-3)


def test_constant_and_noisy_values_change_nothing():
    noise = torch.randn(6, 200, 3, generator=torch.Generator().manual_seed(1))
    for inputs in (noise, torch.zeros(2, 9, 3), torch.ones(1, 1, 3)):
        before, after = started(inputs)
        assert torch.equal(before.weight, after.weight)


def test_with_kernel_size_1_no_differences_exist():
    before, after = started(random_walk(), stem_kernel=1)
    assert torch.equal(before.weight, after.weight)
