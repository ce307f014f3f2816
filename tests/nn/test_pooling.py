import pytest
import torch

from bothways import ModelConfig, SequenceClassifier
from bothways.config import READOUTS
from bothways.errors import ShapeError
from bothways.kernels.lengths import Lengths
from bothways.nn.pooling import POOLINGS

LENGTHS = torch.tensor([5, 2, 3])


def make_classifier(readout, bidirectional=True, **settings):
    torch.manual_seed(0)
    config = ModelConfig(
        input_size=3,
        hidden_size=4,
        num_classes=2,
        readout=readout,
        bidirectional=bidirectional,
        sequence_length=6 if "flatten" in readout else None,
        **settings,
    )
    return SequenceClassifier(config).double().eval()


@pytest.fixture
def inputs():
    torch.manual_seed(1)
    return torch.randn(3, 5, 3, dtype=torch.float64)


def features_and_outputs(classifier, inputs):
    outputs, (h_n, *_) = classifier.layers.outputs(inputs, lengths=LENGTHS)
    h_n = h_n[-classifier.layers.num_directions :]  # the top layer
    features = classifier.readout(outputs, h_n, Lengths.of(LENGTHS, 3, 5))
    return features, [row[:length] for row, length in zip(outputs, LENGTHS, strict=True)]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    ("readout", "of_one_row"),
    [
        ("last", lambda row: row[-1]),
        ("mean", lambda row: row.mean(dim=0)),
        ("max", lambda row: row.amax(dim=0)),
        (
            "flatten",
            lambda row: torch.cat([row, row.new_zeros(6 - len(row), row.shape[1])]).flatten(),
        ),
    ],
)
def test_features_of_one_row(readout, of_one_row, bidirectional, inputs):
    classifier = make_classifier(readout, bidirectional)
    features, rows = features_and_outputs(classifier, inputs)
    torch.testing.assert_close(features, torch.stack([of_one_row(row) for row in rows]))
    assert features.shape[1] == classifier.readout.features_size


def test_final_uses_each_direction_where_it_ends(inputs):
    features, rows = features_and_outputs(make_classifier("final"), inputs)
    expected = torch.stack([torch.cat([row[-1, :4], row[0, 4:]]) for row in rows])
    torch.testing.assert_close(features, expected)


def test_final_equals_last_in_a_unidirectional_network(inputs):
    final, _ = features_and_outputs(make_classifier("final", bidirectional=False), inputs)
    last, _ = features_and_outputs(make_classifier("last", bidirectional=False), inputs)
    torch.testing.assert_close(final, last)


def test_attention_is_a_weighted_mean_of_valid_steps(inputs):
    classifier = make_classifier("attention")
    features, rows = features_and_outputs(classifier, inputs)
    readout = classifier.readout
    for feature, row in zip(features, rows, strict=True):
        weights = readout.context(torch.tanh(readout.project(row))).softmax(dim=0)
        torch.testing.assert_close(feature, (weights * row).sum(dim=0))
        assert not torch.allclose(feature, row.mean(dim=0))


def test_backward_direction_of_last_has_read_one_step(inputs):
    """Earlier inputs do not affect the backward features of a network with one layer."""
    classifier = make_classifier("last")
    changed = inputs.clone()
    changed[0, :4] += 1
    before, _ = features_and_outputs(classifier, inputs)
    after, _ = features_and_outputs(classifier, changed)
    torch.testing.assert_close(after[0, 4:], before[0, 4:])
    assert (after[0, :4] != before[0, :4]).all()


def test_combined_readouts_concatenate_their_features(inputs):
    names = ["max", "final", "attention", "last", "flatten", "mean"]
    combined = make_classifier("+".join(names))
    features, _ = features_and_outputs(combined, inputs)
    sizes = [part.features_size for part in combined.readout.poolings]
    assert sizes == [8, 8, 8, 8, 6 * 8, 8]
    assert features.shape[1] == combined.readout.features_size == sum(sizes)
    for name, mine in zip(names, features.split(sizes, dim=1), strict=True):
        alone = make_classifier(name)
        alone.layers.load_state_dict(combined.layers.state_dict())
        alone.readout.load_state_dict(combined.readout.parts[name].state_dict())
        torch.testing.assert_close(mine, features_and_outputs(alone, inputs)[0])


def test_every_name_has_a_pooling():
    assert tuple(POOLINGS) == READOUTS


def test_flatten_rejects_longer_rows_but_not_longer_padding():
    classifier = make_classifier("flatten")
    long = torch.zeros(2, 8, 3, dtype=torch.float64)
    assert classifier(long, lengths=[6, 2]).shape == (2, 2)
    with pytest.raises(
        ShapeError, match=r"lengths\[1\] is 7 but readout 'flatten' was built for 6"
    ):
        classifier(long, lengths=[6, 7])


@pytest.mark.parametrize("readout", [*READOUTS, "last+flatten+attention"])
def test_gradients_reach_every_weight(readout, inputs):
    classifier = make_classifier(readout, num_layers=2)
    classifier(inputs, LENGTHS).sum().backward()
    unused = {"layers.weight_hh_l1_reverse"} if readout == "last" else set()
    for name, parameter in classifier.named_parameters():
        assert (parameter.grad == 0).all() == (name in unused), name
