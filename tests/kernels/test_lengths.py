import pytest
import torch

from bothways.errors import ShapeError
from bothways.kernels.lengths import (
    checked_lengths,
    last_steps,
    reverse_steps,
    valid_steps,
    zero_padding,
)

LENGTHS = torch.tensor([3, 1, 4])


@pytest.fixture
def steps():
    return torch.arange(1.0, 25.0).reshape(4, 3, 2)  # (time, batch, features)


def test_valid_steps():
    assert valid_steps(LENGTHS, 4).T.int().tolist() == [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]]


def test_zero_padding_stops_values_and_gradients(steps):
    steps[3, 0] = float("nan")
    steps.requires_grad_()
    clean = zero_padding(steps, LENGTHS)
    assert (clean[3, 0] == 0).all()
    assert (clean[1:, 1] == 0).all()
    assert torch.equal(clean[:, 2], steps[:, 2])
    clean.sum().backward()
    assert torch.equal(steps.grad, valid_steps(LENGTHS, 4)[:, :, None].expand(4, 3, 2).float())


def test_last_steps(steps):
    assert torch.equal(
        last_steps(steps, LENGTHS), torch.stack([steps[2, 0], steps[0, 1], steps[3, 2]])
    )


def test_reverse_steps_reverses_within_length(steps):
    backwards = reverse_steps(steps, LENGTHS)
    assert torch.equal(backwards[:3, 0], steps[:3, 0].flip(0))
    assert torch.equal(backwards[3, 0], steps[3, 0])
    assert torch.equal(backwards[:, 1], steps[:, 1])
    assert torch.equal(backwards[:, 2], steps[:, 2].flip(0))
    assert torch.equal(reverse_steps(backwards, LENGTHS), steps)


def test_reverse_steps_has_first_and_second_derivatives():
    steps = torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: reverse_steps(s, LENGTHS) ** 2, steps)
    assert torch.autograd.gradgradcheck(lambda s: reverse_steps(s, LENGTHS) ** 2, steps)


@pytest.mark.parametrize("lengths", [[3, 1, 4], torch.tensor([3, 1, 4], dtype=torch.int32)])
def test_checked_lengths_are_int64(lengths):
    checked = checked_lengths(lengths, 3, 4)
    assert checked.dtype == torch.int64
    assert checked.tolist() == [3, 1, 4]


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([1.5, 2.0, 3.0], "dtype float64; expected integers"),
        ([True, True, True], "dtype bool"),
        (["1", "2", "3"], "dtype <U1"),
        ([[1, 2, 3]], r"shape \(1, 3\) but the batch has 3 rows"),
        ([1, 5, 2], r"lengths\[1\] is 5 but inputs has 4 steps; expected 1..4"),
        ([1, 2, -1], r"lengths\[2\] is -1"),
    ],
)
def test_invalid_lengths(lengths, message):
    with pytest.raises(ShapeError, match=message):
        checked_lengths(lengths, 3, 4)
