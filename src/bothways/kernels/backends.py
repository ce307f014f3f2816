"""The backends that run recurrent layers, and the choice between them."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, partial
from typing import cast

import torch
from torch import Tensor

from bothways.errors import BackendError, describe_unknown
from bothways.kernels import reference, torch_backend
from bothways.kernels.cells import Cell
from bothways.kernels.interface import (
    PRECISIONS,
    DirectionWeights,
    Kernel,
    Passes,
    Prepared,
    Stack,
    States,
)
from bothways.kernels.tensors import unreadable
from bothways.kernels.torch_internals import is_forward_mode, is_traced, is_transformed

__all__ = [
    "BACKENDS",
    "PRECISIONS",
    "Choice",
    "DirectionWeights",
    "Kernel",
    "Passes",
    "Prepared",
    "Stack",
    "States",
    "bfloat16_obstacle",
    "check_precision",
    "choose_backend",
]

BACKENDS = ("auto", "compiled", "torch", "reference")


@dataclass(frozen=True)
class Choice:
    """The backend of a call, and the reason for it.

    Parameters
    ----------
    name : str
        One of `BACKENDS`, never "auto".
    reason : str
        Shown by `bothways inspect`.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"

    @property
    def kernel(self) -> Kernel:
        """The kernel of this backend."""
        if self.name == "torch":
            return cast(Kernel, torch_backend)
        if self.name == "reference":
            return cast(Kernel, reference)
        from bothways.kernels import compiled  # imported when needed: it takes half a second

        return cast(Kernel, compiled)

    def prepared(self, stack: Stack, *, alone: bool) -> Prepared:
        """Return what runs `stack`, without dropout and gradients, in many short calls.

        `alone` says that each call is one sequence, whose steps the threads may share.
        """
        if self.name != "compiled":
            return partial(self.kernel.outputs, stack)
        from bothways.kernels.compiled.prepared import PreparedLayers  # as above

        return PreparedLayers(stack, alone=alone)

    def passes(self, stack: Stack, gradients: list[Tensor], *, last: bool) -> Passes:
        """Return what trains `stack` in many steps; for the compiled engine only.

        Parameters
        ----------
        stack : Stack
            Its weights are contiguous. They are read at each pass, so that an optimizer may change
            them in place.
        gradients : list of Tensor
            Receive the gradients of `stack.tensors`; contiguous, of the same shapes.
        last : bool
            Whether only the outputs at the last step of each row are needed.
        """
        from bothways.kernels.compiled.repeated import RepeatedPasses  # as above

        return RepeatedPasses(stack, gradients, last=last)


def choose_backend(
    requested: str,
    cell: Cell,
    device: torch.device,
    dtype: torch.dtype,
    *,
    precision: str = "float32",
    projected: bool = False,
    tensors: Iterable[Tensor] = (),
) -> Choice:
    """Return the backend that runs layers of `cell` at this moment.

    "auto" selects the compiled engine if it can run, otherwise torch. The result depends on the
    current state of torch: inside tracing, `torch.func` or autocast, torch's operators run. They
    run in the dtype of the weights, or that of autocast, with any precision.

    Parameters
    ----------
    requested : str
        One of `BACKENDS`.
    cell : Cell
    device : torch.device
    dtype : torch.dtype
        Of the weights.
    precision : str
        One of `PRECISIONS`.
    projected : bool
        Whether the hidden state is projected (`proj_size`).
    tensors : iterable of Tensor
        Inputs, states and weights of the call, if there is a call; those that are known to be
        readable may be omitted.

    Raises
    ------
    BackendError
        If `requested` is not one of `BACKENDS`, or is "compiled" and cannot run; or if `precision`
        is not one of `PRECISIONS`, or is bfloat16 and these layers cannot have it.
    """
    if requested not in BACKENDS:
        raise BackendError(
            f'{describe_unknown("backend", requested, BACKENDS)} Use "auto" to let bothways choose.'
        )
    check_precision(precision, requested, device, dtype, projected=projected)
    if requested not in ("auto", "compiled"):
        return Choice(requested, "requested by name")
    obstacle = _obstacle(device, dtype, projected, tensors) or _compilation_failure(cell, precision)
    if obstacle is None:
        products = "" if precision == "float32" else f", products of {precision} numbers"
        return Choice(
            "compiled", f"machine code for this processor, {dtype} on {device.type}{products}"
        )
    if requested == "compiled":
        raise BackendError(
            f"backend 'compiled' cannot run: {obstacle}; expected plain float32 tensors on a CPU. "
            'Use backend "auto" or "torch".'
        )
    return Choice("torch", f"torch's operators, because {obstacle}")


def bfloat16_obstacle(device: torch.device) -> str | None:
    """Return why the compiled engine cannot multiply bfloat16 numbers on `device`, or None."""
    from bothways.kernels.compiled.instruction_sets import host_target  # as in `Choice.kernel`

    if device.type != "cpu":
        return f"the device is {device.type}"
    return None if host_target().has_bfloat16 else "this processor has no AVX512_BF16"


def check_precision(
    precision: str,
    backend: str,
    device: torch.device,
    dtype: torch.dtype,
    *,
    projected: bool = False,
) -> None:
    """Raise BackendError if layers cannot have a precision, see `choose_backend`."""
    if precision == "float32":
        return
    if precision not in PRECISIONS:
        raise BackendError(
            f'{describe_unknown("precision", precision, PRECISIONS)} Use "float32", the default.'
        )
    obstacle = bfloat16_obstacle(device)
    if dtype != torch.float32:
        obstacle = f"the weights are {dtype}"
    elif projected:
        obstacle = "proj_size is not supported"
    elif backend not in ("auto", "compiled"):
        obstacle = f"the backend is {backend!r}"
    if obstacle is not None:
        raise BackendError(
            f"precision is 'bfloat16' but {obstacle}; expected float32 weights on a CPU with "
            'AVX512_BF16, and backend "auto" or "compiled". Use precision "float32".'
        )


def _obstacle(
    device: torch.device, dtype: torch.dtype, projected: bool, tensors: Iterable[Tensor]
) -> str | None:
    """Return why the compiled engine cannot run, or None."""
    if device.type != "cpu":
        return f"the weights are on {device.type}"
    if dtype != torch.float32:
        return f"the weights are {dtype}"
    if projected:
        return "proj_size is not supported"
    if torch.is_autocast_enabled("cpu"):
        return "autocast is enabled"
    if is_traced():
        return "the layers are being traced or exported"
    if is_transformed():
        return "torch.func or a dispatch mode is active"
    if is_forward_mode():
        return "forward-mode derivatives are being computed"
    return next(filter(None, map(unreadable, tensors)), None)


@cache
def _compilation_failure(cell: Cell, precision: str) -> str | None:
    """Compile or load the engine for `cell`; on failure, warn and return the reason, else None."""
    try:
        from bothways.kernels.compiled.cache import entry_address

        entry_address(cell, precision)
    except Exception as error:
        reason = f"the engine does not compile ({type(error).__name__}: {error})".splitlines()[0]
        warnings.warn(
            f"{reason}; backend auto uses torch's operators, which are slower",
            RuntimeWarning,
            stacklevel=4,
        )
        return reason
    return None
