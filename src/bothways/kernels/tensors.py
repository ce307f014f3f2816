"""Tensors whose memory does not hold their values, which compiled code cannot read directly."""

import torch
from torch import Tensor
from torch.nn import Parameter

from bothways.kernels.torch_internals import has_storage, is_functional, is_zero_tensor


def unreadable(tensor: Tensor) -> str | None:
    """Return why compiled code cannot read a tensor, even after `resolved`, or None.

    Subclasses may redefine operators. Sparse, quantized, nested and wrapper tensors have no memory
    with one float for each element.
    """
    if type(tensor) not in (Tensor, Parameter):
        return f"a tensor is a {type(tensor).__name__}"
    if tensor.layout != torch.strided or tensor.is_nested:
        return f"a tensor is {'nested' if tensor.is_nested else str(tensor.layout)}"
    if is_functional(tensor) or not has_storage(tensor):
        return "a tensor is a wrapper of another tensor"
    if tensor.numel() == 0:
        return "a tensor is empty"
    return None


def resolved(tensor: Tensor) -> Tensor:
    """Return an equal tensor whose memory holds its values.

    Lazy negation is applied, and zero tensors without memory are allocated; both are
    differentiable. A tensor that already holds its values is returned as it is.
    """
    if is_zero_tensor(tensor):
        return tensor.clone()
    return tensor.resolve_neg()
