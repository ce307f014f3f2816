import pytest
import torch

from bothways import ModelConfig, SequenceClassifier
from bothways.errors import ConfigError
from bothways.kernels.draws import Draws
from bothways.nn.ensemble import Ensemble, average_logits, make_classifier
from bothways.nn.initialization import new_classifier

SIZES = {"input_size": 3, "hidden_size": 4, "num_classes": 3}
LENGTHS = [6, 2, 4, 1]


def make_ensemble(members=4, seed=0, **settings):
    config = ModelConfig(**SIZES, members=members, **settings)
    return new_classifier(config, torch.Generator().manual_seed(seed)).eval()


def test_probabilities_are_the_means_of_those_of_the_networks():
    """In float64, so that nothing but the arithmetic of the mean can differ."""
    ensemble = make_ensemble().double()
    inputs = 5 * torch.randn(4, 6, 3, dtype=torch.float64)
    alone = [network(inputs, LENGTHS).softmax(dim=1) for network in ensemble.networks]
    found = ensemble(inputs, LENGTHS)
    torch.testing.assert_close(found.softmax(dim=1), sum(alone) / 4, atol=1e-14, rtol=1e-12)
    torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(4, dtype=torch.float64))


def test_the_temperature_divides_the_logits_of_the_mean():
    plain, calibrated = make_ensemble(), make_ensemble(calibrate=True)
    calibrated.temperature.fill_(2.5)
    inputs = torch.randn(4, 6, 3)
    torch.testing.assert_close(calibrated(inputs), plain(inputs) / 2.5)
    assert [name for name in calibrated.state_dict() if "temperature" in name] == ["temperature"]


@pytest.mark.parametrize("readout", ["final", "step", "mean"])
@pytest.mark.parametrize("padding", [float("nan"), 1e30])
def test_an_answer_does_not_depend_on_padding_or_batch(readout, padding):
    """Float32 products in another order differ by less than 1e-6 for logits around 1."""
    ensemble = make_ensemble(readout=readout, normalization="both", stem_channels=3, stem_stride=1)
    inputs = torch.full((4, 8, 3), padding)
    for row, length in zip(inputs, LENGTHS, strict=True):
        row[:length] = torch.randn(length, 3)
    together = ensemble(inputs, LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone = ensemble(inputs[row : row + 1, :length])[0]
        own = together[row, :length] if readout == "step" else together[row]
        torch.testing.assert_close(alone, own, atol=1e-6, rtol=0)


def test_probabilities_that_are_no_float32_have_finite_logits():
    logits = [torch.tensor([[0.0, 500.0]]), torch.tensor([[0.0, 300.0]])]
    half = torch.tensor(0.5).log()
    torch.testing.assert_close(average_logits(logits), torch.tensor([[-300 + half, 0.0]]))


def test_a_single_network_is_returned_as_it_is():
    logits = torch.randn(4, 3)
    assert average_logits([logits]) is logits
    network = make_ensemble(members=1)
    assert type(network) is SequenceClassifier
    assert network.networks == [network]


@pytest.mark.parametrize("num_classes", [2, 7, 16, 33])
@pytest.mark.parametrize("members", [2, 5, 10])
def test_the_bits_of_a_mean_do_not_depend_on_other_rows(members, num_classes):
    logits = [5 * torch.randn(600, num_classes) for _ in range(members)]
    whole = average_logits(logits)
    for first, last in [(0, 1), (5, 6), (3, 50), (311, 600)]:
        part = average_logits([own[first:last].clone() for own in logits])
        assert torch.equal(part, whole[first:last])


def test_the_first_network_has_the_initial_weights_of_a_single_one():
    settings = {"normalization": "dataset", "categories": (0, 4, 0), "readout": "attention"}
    first, second, *_ = make_ensemble(**settings).networks
    single = make_ensemble(members=1, **settings)
    assert first.config == single.config
    for name, tensor in single.state_dict().items():
        assert torch.equal(first.state_dict()[name], tensor), name
    weights = zip(first.parameters(), second.parameters(), strict=True)
    assert not any(torch.equal(own, other) for own, other in weights)


def test_the_constructor_draws_the_same_weights():
    torch.manual_seed(3)
    constructed = make_classifier(ModelConfig(**SIZES, members=3))
    assert type(constructed) is Ensemble
    for name, tensor in make_ensemble(members=3, seed=3).state_dict().items():
        assert torch.equal(constructed.state_dict()[name], tensor), name


def test_a_sequence_classifier_is_one_network():
    with pytest.raises(ConfigError, match=r"members is 2 but a Seq.* Use bothways\.nn\.Ensemble"):
        SequenceClassifier(ModelConfig(**SIZES, members=2))


def test_dropout_draws_from_one_generator():
    ensemble = make_ensemble(dropout=0.5).train()
    inputs = torch.randn(8, 5, 3)
    found = []
    for seed in (0, 0, 1):
        ensemble.draw_from(Draws(torch.Generator().manual_seed(seed)))
        found.append(ensemble(inputs))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
