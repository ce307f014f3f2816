import numpy as np
import pytest
import torch

from bothways.config import ModelConfig
from bothways.evaluation import playback
from bothways.evaluation.playback import play
from bothways.nn.ensemble import make_classifier


def classifier_with(**settings):
    settings = {"input_size": 3, "num_classes": 4, "hidden_size": 5, **settings}
    return make_classifier(ModelConfig(**settings)).eval()


def probabilities(classifier, steps):
    with torch.no_grad():
        return classifier(steps[None])[0].double().softmax(dim=-1).numpy()


@pytest.mark.parametrize("readout", ["final", "last", "mean", "max", "attention"])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("time", [1, 7])
def test_each_answer_is_that_of_the_part_alone(readout, bidirectional, members, time):
    classifier = classifier_with(readout=readout, bidirectional=bidirectional, members=members)
    steps = torch.randn(time, 3)
    played = play(classifier, steps)
    assert played.counts.tolist() == list(range(1, time + 1))
    for n, count in enumerate(played.counts):
        assert np.allclose(played.forward[n], probabilities(classifier, steps[:count]), atol=1e-6)
        assert np.allclose(played.backward[n], probabilities(classifier, steps[-count:]), atol=1e-6)
    assert np.allclose(played.whole, probabilities(classifier, steps), atol=1e-6)
    assert np.array_equal(played.forward[-1], played.whole)


def test_a_model_of_time_steps_answers_for_the_step_at_the_edge_of_what_it_read():
    classifier = classifier_with(readout="step")
    steps = torch.randn(6, 3)
    played = play(classifier, steps)
    for n, count in enumerate(played.counts):
        first, last = (probabilities(classifier, part) for part in (steps[:count], steps[-count:]))
        assert np.allclose(played.forward[n], first[-1], atol=1e-6)
        assert np.allclose(played.backward[n], last[0], atol=1e-6)
    assert np.allclose(played.whole, probabilities(classifier, steps), atol=1e-6)


@pytest.mark.parametrize("readout", ["final", "last", "max", "attention", "mean+final"])
def test_the_parts_of_the_directions_add_up_to_the_logits(readout):
    classifier = classifier_with(readout=readout, calibrate=True, num_layers=2)
    classifier.temperature.fill_(2.0)
    steps = torch.randn(5, 3)
    played = play(classifier, steps)
    bias = classifier.linear.bias.detach().double().numpy() / 2
    with torch.no_grad():
        whole, end = (classifier(part[None])[0].double().numpy() for part in (steps, steps[-2:]))
    assert np.allclose(played.forward_parts[-1].sum(axis=0) + bias, whole, atol=1e-6)
    assert np.allclose(played.backward_parts[1].sum(axis=0) + bias, end, atol=1e-6)


def test_in_an_ensemble_the_last_steps_keep_their_place_in_each_network():
    ensemble = classifier_with(readout="flatten", sequence_length=8, members=3)
    steps = torch.randn(6, 3)
    alone = [play(network, steps) for network in ensemble.networks]
    played = play(ensemble, steps)
    for part in ("forward", "backward", "whole"):
        mean = sum(getattr(own, part) for own in alone) / 3
        assert np.allclose(getattr(played, part), mean, atol=1e-6)


@pytest.mark.parametrize("readout", ["flatten", "final+flatten"])
def test_with_readout_flatten_the_last_steps_keep_their_place(readout):
    """They contribute what their outputs contribute at the end of the sequence."""
    classifier = classifier_with(readout=readout, sequence_length=8).double()
    steps = torch.randn(6, 3, dtype=torch.float64)
    weight, bias = classifier.linear.weight.detach(), classifier.linear.bias.detach()
    with torch.no_grad():
        outputs, (h_n, _) = classifier.layers(steps[None, -2:])
    blocks = weight[:, -8 * 10 :].unflatten(1, (8, 10))
    expected = bias + torch.einsum("th,kth->k", outputs[0], blocks[:, 4:6])
    if readout != "flatten":
        expected = expected + weight[:, :10] @ h_n.flatten()
    played = play(classifier.float(), steps.float())
    assert np.allclose(played.backward[1], expected.softmax(dim=0).numpy(), atol=1e-6)
    assert np.allclose(played.forward[-1], played.backward[-1], atol=1e-6)
    logits = played.backward_parts[1].sum(axis=0) + bias.numpy()
    assert np.allclose(logits, expected.numpy(), atol=1e-6)


def test_with_readout_last_the_backward_direction_has_read_one_step():
    classifier = classifier_with(readout="last")
    steps = torch.randn(9, 3)
    others = torch.cat([torch.randn(8, 3), steps[-1:]])
    own, other = play(classifier, steps), play(classifier, others)
    assert np.allclose(own.forward_parts[-1, 1], other.forward_parts[-1, 1], atol=1e-7)
    assert not np.allclose(own.forward_parts[-1, 0], other.forward_parts[-1, 0], atol=1e-2)


@pytest.mark.parametrize(
    "settings",
    [{"bidirectional": False, "readout": "mean"}, {"readout": "step"}, {"members": 2}],
)
def test_other_models_have_no_parts_of_directions(settings):
    assert play(classifier_with(**settings), torch.randn(3, 3)).forward_parts is None


def test_long_sequences_are_sampled(monkeypatch):
    monkeypatch.setattr(playback, "STEP_BUDGET", 1000)
    played = play(classifier_with(), torch.randn(100, 3))
    assert played.counts[0] == 1
    assert played.counts[-1] == 100
    assert len(played.counts) == 10
    assert len(set(np.diff(played.counts))) == 1


def test_the_answer_is_settled_when_it_no_longer_changes():
    rows = np.eye(3)[[0, 1, 1, 0, 2, 2]]
    played = playback.Playback(np.arange(1, 7), rows, rows[::-1], rows[-1])
    assert (played.forward_settled, played.backward_settled) == (5, 6)
    constant = playback.Playback(np.arange(1, 7), rows[[0] * 6], rows, rows[0])
    assert constant.forward_settled == 1
