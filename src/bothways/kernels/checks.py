"""Checks that compiled code can read the tensors of a call."""

from collections.abc import Iterable
from operator import is_
from weakref import WeakSet

import torch
from torch import Tensor

from bothways.errors import ShapeError
from bothways.kernels.interface import Stack
from bothways.kernels.tensors import resolved

_checked: WeakSet[Stack] = WeakSet()  # those whose weights need not be checked again


def checked_weights(stack: Stack, input_size: int) -> list[Tensor]:
    """Return the weights of a stack, resolved and checked."""
    if stack in _checked and stack.tensors[0].shape[1] == input_size:
        return stack.tensors
    weights = [resolved(tensor) for tensor in stack.tensors]
    check_weights(stack, weights, input_size)
    if all(map(is_, weights, stack.tensors)):
        _checked.add(stack)
    return weights


def check_floats(tensors: Iterable[Tensor]) -> None:
    """Raise ShapeError if compiled code cannot read the numbers of tensors."""
    for tensor in tensors:
        if tensor.dtype != torch.float32 or not tensor.is_cpu:
            raise ShapeError(
                f"a tensor of the call is {tensor.dtype} on {tensor.device}; expected float32 on "
                "the CPU, like the first weight. Convert all states and weights to it."
            )


def check_weights(stack: Stack, weights: list[Tensor], input_size: int) -> None:
    """Raise ShapeError if compiled code would read outside a weight, as torch's operators do."""
    check_floats(weights)
    gates_size = len(weights[0])
    hidden_size = gates_size // len(stack.cell.gates)
    count = len(weights) // (len(stack.layers) * stack.num_directions)  # of one direction
    for number in range(len(stack.layers)):
        shapes = [(gates_size, input_size), (gates_size, hidden_size), (gates_size,), (gates_size,)]
        expected = shapes[:count]
        for direction in range(stack.num_directions):
            first = (number * stack.num_directions + direction) * count
            found = [tuple(weight.shape) for weight in weights[first : first + count]]
            if found != expected:
                raise ShapeError(
                    f"the weights of layer {number} have shapes {found}; expected {expected}. "
                    "Check the code that replaced the weights."
                )
        input_size = stack.num_directions * hidden_size
