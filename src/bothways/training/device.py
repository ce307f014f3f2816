"""The device of a training run."""

import torch

from bothways.config import TrainConfig
from bothways.errors import BackendError


def choose_device(config: TrainConfig) -> torch.device:
    """Return the device of `config.device`; auto is CUDA, MPS or the CPU, in this order.

    Raises
    ------
    BackendError
        If the device is not available, or `config.precision` is bfloat16 without CUDA.
    """
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = config.device
    if name == "auto":
        name = "cuda" if has["cuda"] else "mps" if has["mps"] else "cpu"
    if not has[name]:
        raise BackendError(
            f"device {name!r} is not available to torch on this machine; expected one of "
            f"{', '.join(n for n, there in has.items() if there)}. Use device auto."
        )
    if config.precision == "bfloat16" and name != "cuda":
        raise BackendError(
            f"precision is 'bfloat16' but the device is {name}; expected cuda. "
            "Use precision float32."
        )
    return torch.device(name)
