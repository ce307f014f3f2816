"""Engines that run recurrent layers, and the one rule that chooses between them."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import torch
from torch import Tensor

from bothways.errors import BackendError
from bothways.kernels import reference, torch_backend
from bothways.kernels.cells import Cell
from bothways.kernels.interface import DirectionWeights, Kernel, Stack, States
from bothways.kernels.tensors import unreadable
from bothways.kernels.torch_internals import is_forward_mode, is_traced, is_transformed

__all__ = [
    "BACKENDS",
    "Choice",
    "DirectionWeights",
    "Kernel",
    "Stack",
    "States",
    "choose_backend",
]

BACKENDS = ("auto", "compiled", "torch", "reference")


@dataclass(frozen=True)
class Choice:
    """The backend that runs, and why.

    Parameters
    ----------
    name : str
        One of `BACKENDS`, never "auto".
    reason : str
        For `bothways inspect`.
    """

    name: str
    reason: str

    @property
    def kernel(self) -> Kernel:
        """The kernel itself."""
        if self.name == "torch":
            return cast(Kernel, torch_backend)
        if self.name == "reference":
            return cast(Kernel, reference)
        from bothways.kernels import compiled  # only when needed: half a second of imports

        return cast(Kernel, compiled)


def choose_backend(
    requested: str,
    cell: Cell,
    device: torch.device,
    dtype: torch.dtype,
    *,
    projected: bool = False,
    tensors: Sequence[Tensor] = (),
) -> Choice:
    """Say which backend runs layers of `cell` whose weights have this `device` and `dtype`, now.

    "auto" is the compiled engine wherever it can run, and else torch. The answer depends on what
    torch is doing at the moment of the call: tracing, `torch.func` and autocast are torch's.

    Parameters
    ----------
    requested : str
        One of `BACKENDS`.
    cell : Cell
    device : torch.device
    dtype : torch.dtype
    projected : bool
        Whether the hidden state is projected (`proj_size`).
    tensors : sequence of Tensor
        Inputs and weights of the call, where there is one.

    Raises
    ------
    BackendError
        If `requested` is not one of `BACKENDS`, or is "compiled" and cannot run.
    """
    if requested not in BACKENDS:
        raise BackendError(
            f"backend {requested!r} is unknown; expected one of {', '.join(BACKENDS)}. "
            'Use "auto" to let bothways choose.'
        )
    if requested not in ("auto", "compiled"):
        return Choice(requested, "asked for by name")
    obstacle = _obstacle(device, dtype, projected, tensors) or _compilation_failure(cell)
    if obstacle is None:
        return Choice("compiled", f"machine code for this processor, {dtype} on {device.type}")
    if requested == "compiled":
        raise BackendError(
            f"backend 'compiled' cannot run: {obstacle}; expected plain float32 tensors on a CPU. "
            'Use backend "auto" or "torch".'
        )
    return Choice("torch", f"torch's own operators, because {obstacle}")


def _obstacle(
    device: torch.device, dtype: torch.dtype, projected: bool, tensors: Sequence[Tensor]
) -> str | None:
    """Return what keeps the compiled engine from running, or None."""
    if device.type != "cpu":
        return f"the weights are on {device.type}"
    if dtype != torch.float32:
        return f"the weights are {dtype}"
    if projected:
        return "proj_size is not compiled"
    if torch.is_autocast_enabled("cpu"):
        return "autocast chooses the types"
    if is_traced():
        return "the layers are being traced or exported"
    if is_transformed():
        return "torch.func or a dispatch mode watches the operators"
    if is_forward_mode():
        return "forward-mode derivatives are being computed"
    return next(filter(None, map(unreadable, tensors)), None)


@cache
def _compilation_failure(cell: Cell) -> str | None:
    """Compile or load the engine for `cell`; return why that fails, having warned, or None."""
    try:
        from bothways.kernels.compiled.cache import entry_address

        entry_address(cell)
    except Exception as error:
        reason = f"the engine does not compile ({type(error).__name__}: {error})".splitlines()[0]
        warnings.warn(
            f"{reason}; backend auto goes on with torch's own operators, which are slower",
            RuntimeWarning,
            stacklevel=4,
        )
        return reason
    return None
