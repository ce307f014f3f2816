"""Engines that run recurrent layers, and the one rule that chooses between them."""

from dataclasses import dataclass
from types import ModuleType
from typing import cast

import torch

from bothways.errors import BackendError
from bothways.kernels import reference, torch_backend
from bothways.kernels.stack import DirectionWeights, Kernel, Stack, States

__all__ = [
    "BACKENDS",
    "Choice",
    "DirectionWeights",
    "Kernel",
    "Stack",
    "States",
    "choose_backend",
]

_KERNELS: dict[str, ModuleType] = {"torch": torch_backend, "reference": reference}
BACKENDS = ("auto", *_KERNELS)


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
        """The engine itself."""
        return cast(Kernel, _KERNELS[self.name])


def choose_backend(requested: str, device: torch.device, dtype: torch.dtype) -> Choice:
    """Say which backend runs layers whose weights have this `device` and `dtype`.

    Raises
    ------
    BackendError
        If `requested` is not one of `BACKENDS`.

    Examples
    --------
    >>> choose_backend("auto", torch.device("cpu"), torch.float32).name
    'torch'
    """
    if requested == "auto":
        return Choice("torch", f"torch's own operators, for {dtype} on {device.type}")
    if requested not in _KERNELS:
        raise BackendError(
            f"backend {requested!r} is unknown; expected one of {', '.join(BACKENDS)}. "
            'Use "auto" to let bothways choose.'
        )
    return Choice(requested, "asked for by name")
