"""The device of a training run."""

import torch

from bothways.config import TrainConfig
from bothways.errors import BackendError
from bothways.nn.device import choose_device


def training_device(config: TrainConfig) -> torch.device:
    """Return the device of `config.device`, see `choose_device`.

    Raises
    ------
    BackendError
        If the device is not available, or `config.precision` is bfloat16 without CUDA.
    """
    device = choose_device(config.device)
    if config.precision == "bfloat16" and device.type != "cuda":
        raise BackendError(
            f"precision is 'bfloat16' but the device is {device}; expected cuda. "
            "Use precision float32."
        )
    return device
