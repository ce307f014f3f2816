"""The device of a training run."""

import torch

from bothways.config import TrainConfig
from bothways.errors import BackendError
from bothways.kernels.backends import bfloat16_obstacle
from bothways.nn.device import choose_device


def training_device(config: TrainConfig) -> torch.device:
    """Return the device of `config.device`, see `choose_device`.

    Raises
    ------
    BackendError
        If the device is not available, or cannot train with `config.precision`.
    """
    device = choose_device(config.device)
    if config.precision == "bfloat16" and device.type != "cuda":
        obstacle = bfloat16_obstacle(device)
        if obstacle is not None:
            raise BackendError(
                f"precision is 'bfloat16' but {obstacle}; expected cuda, or a CPU with "
                "AVX512_BF16. Use precision float32."
            )
    return device


def layers_precision(config: TrainConfig, device: torch.device) -> str:
    """Return the precision that the recurrent layers have in training.

    On CUDA it is float32, because autocast converts the whole network there.
    """
    return config.precision if device.type == "cpu" else "float32"
