"""Private functions of torch, gathered so that a change in torch breaks one file.

`tests/kernels/test_torch_internals.py` checks the behavior of each function.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import _VF, Tensor
from torch.autograd import forward_ad

rnn_tanh: Callable[..., Any] = _VF.rnn_tanh
rnn_relu: Callable[..., Any] = _VF.rnn_relu
gru: Callable[..., Any] = _VF.gru
lstm: Callable[..., Any] = _VF.lstm


def is_traced() -> bool:
    """Return whether the current call is recorded by `torch.jit.trace`, export or compile."""
    return torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None


def is_transformed() -> bool:
    """Return whether `torch.func` or a dispatch mode sees every operator of the current call."""
    return bool(
        torch._C._len_torch_dispatch_stack()
        or torch._C._functorch.peek_interpreter_stack() is not None
    )


def is_forward_mode() -> bool:
    """Return whether forward-mode derivatives are being computed."""
    return forward_ad._current_level >= 0


def is_graph_kept() -> bool:
    """Return whether the current backward pass was started with `retain_graph`."""
    return bool(torch._C._autograd._get_current_graph_task_keep_graph())


def has_storage(tensor: Tensor) -> bool:
    """Return whether a tensor has memory; wrapper tensors such as batched ones have none."""
    return bool(torch._C._has_storage(tensor))


def is_zero_tensor(tensor: Tensor) -> bool:
    """Return whether a tensor is a zero tensor without memory, as autograd creates them."""
    return bool(cast(Any, tensor)._is_zerotensor())


def is_functional(tensor: Tensor) -> bool:
    """Return whether a tensor is a wrapper made by functionalization."""
    return bool(torch._is_functional_tensor(tensor))


def has_hooks(module: torch.nn.Module) -> bool:
    """Return whether a module has forward or backward hooks, its own or global ones."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or torch.nn.modules.module._has_any_global_hook()
    )
