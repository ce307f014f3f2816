"""The loss of a batch, compared with torch's and with sums written out."""

import pytest
import torch
from torch.nn import functional

from bothways import Sequences, TrainConfig
from bothways.data.batching import IGNORED, LabeledBatch
from bothways.training.loop.loss import Loss, class_weights, not_finite


def make_batch(labels, weights=None):
    return LabeledBatch(
        torch.zeros(len(labels), 3, 1), torch.full((len(labels),), 3), labels, weights
    )


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 2.0])])
def test_the_loss_of_sequences_is_the_sum_of_torchs(weights):
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 2, 1, 2])
    expected = functional.cross_entropy(logits, labels, weights, reduction="sum")
    loss = Loss(weights, label_smoothing=0.0)(logits, make_batch(labels), torch.tensor(4))
    torch.testing.assert_close(loss, expected / 4)


def test_rows_classes_and_ignored_steps_are_weighted():
    logits = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0, 1, IGNORED], [1, IGNORED, IGNORED]])
    batch = make_batch(labels, torch.tensor([3.0, 0.25]))
    log_probabilities = logits.log_softmax(dim=-1)
    expected = -(
        3 * (0.5 * log_probabilities[0, 0, 0] + 2 * log_probabilities[0, 1, 1])
        + 0.25 * 2 * log_probabilities[1, 0, 1]
    )
    loss = Loss(torch.tensor([0.5, 2.0]), label_smoothing=0.0)
    torch.testing.assert_close(loss(logits, batch, torch.tensor(3)), expected / 3)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 2.0])])
def test_the_closed_form_is_the_gradient_of_the_loss(weights, smoothing):
    logits = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0, 1, IGNORED], [2, IGNORED, IGNORED]])
    batch, loss = make_batch(labels, torch.tensor([3.0, 0.25])), Loss(weights, smoothing)
    expected = loss(logits.requires_grad_(), batch, torch.tensor(3))
    expected.backward()
    found, gradient = loss.with_gradient(logits.detach(), batch, torch.tensor(3))
    torch.testing.assert_close(found, expected.detach())
    torch.testing.assert_close(gradient, logits.grad)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("balanced", [2 / 3, 2, 0]), ((1.0, 5.0, 9.0), [0.5, 2.5, 4.5])],
)
def test_class_weights_have_the_mean_1_over_all_labels(setting, expected):
    sequences = Sequences.from_padded(torch.zeros(4, 1, 1), labels=[0, 0, 0, 1])
    weights = class_weights(TrainConfig(class_weights=setting), sequences, 3)
    assert weights.tolist() == pytest.approx(expected)


def test_equal_class_weights_are_none():
    sequences = Sequences.from_padded(torch.zeros(2, 1, 1), labels=[0, 1])
    assert class_weights(TrainConfig(), sequences, 2) is None


def test_the_error_says_where_and_what_to_try():
    config = TrainConfig(learning_rate=0.05)
    message = str(not_finite("loss is inf", "a finite number", 2, 7, config))
    assert message == (
        "loss is inf in epoch 2, step 7; expected a finite number. Try a lower learning_rate "
        "(now 0.05) or gradient_clip=1, and look for extreme values in the data."
    )


def test_the_error_names_the_augmentation_that_may_be_the_cause():
    config = TrainConfig(augment_scale=5, augment_noise=0.1)
    message = str(not_finite("loss is inf", "a finite number", 2, 7, config))
    assert "weaker augmentation (now augment_scale 5, augment_noise 0.1) or gradient_" in message
