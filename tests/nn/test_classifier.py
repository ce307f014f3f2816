import pytest
import torch

from bothways import ModelConfig, SequenceClassifier
from bothways.errors import ShapeError


def make_classifier(**settings):
    torch.manual_seed(0)
    return SequenceClassifier(ModelConfig(input_size=3, hidden_size=4, num_classes=2, **settings))


def test_logits_match_the_model_of_the_notebook():
    """Notebook 002: an LSTM, its last output and a linear layer, with the same weights."""
    ours = make_classifier(num_layers=2, readout="last").eval()
    lstm = torch.nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True)
    lstm.load_state_dict(ours.layers.state_dict())
    inputs = torch.randn(5, 6, 3)
    expected = ours.linear(lstm(inputs)[0][:, -1])
    torch.testing.assert_close(ours(inputs), expected, atol=1e-6, rtol=1e-6)


def test_initial_weights_match_the_notebook_for_the_same_seed():
    ours = make_classifier(num_layers=2)
    torch.manual_seed(0)
    lstm, linear = torch.nn.LSTM(3, 4, 2, bidirectional=True), torch.nn.Linear(8, 2)
    assert torch.equal(ours.layers.weight_hh_l1_reverse, lstm.weight_hh_l1_reverse)
    assert torch.equal(ours.linear.weight, linear.weight)


def test_normal_initial_states_are_drawn_in_training_only():
    classifier = make_classifier(initial_state="normal", cell="gru")
    inputs = torch.zeros(64, 1, 3)
    logits = classifier.train()(inputs)
    assert logits.std(dim=0).min() > 0
    assert not torch.equal(logits, classifier(inputs))
    evaluated = classifier.eval()(inputs)
    assert evaluated.std(dim=0).max() == 0


def test_zero_initial_states_are_the_default():
    classifier = make_classifier().train()
    assert torch.equal(classifier(torch.zeros(2, 1, 3)), classifier(torch.zeros(2, 1, 3)))


def test_dropout_acts_on_the_features_in_training_only():
    classifier = make_classifier(dropout=0.5)
    inputs = torch.randn(8, 5, 3)
    assert not torch.equal(classifier.train()(inputs), classifier(inputs))
    assert torch.equal(classifier.eval()(inputs), classifier(inputs))


@pytest.mark.parametrize(
    ("shape", "lengths", "message"),
    [
        ((5, 3), None, r"inputs has shape \(5, 3\); expected \(batch, time, 3\)"),
        ((2, 5, 4), None, "4 features per step"),
        ((2, 5, 3), [1], r"lengths has shape \(1,\)"),
        ((2, 5, 3), [6, 1], r"lengths\[0\] is 6"),
    ],
)
def test_invalid_input(shape, lengths, message):
    with pytest.raises(ShapeError, match=message):
        make_classifier()(torch.zeros(shape), lengths)
