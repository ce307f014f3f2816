"""The device of a training run, and the machine for the record."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch

from bothways.config import TrainConfig
from bothways.errors import BackendError
from bothways.models.manifest import versions
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


def describe_start(device: torch.device, backend: str) -> dict[str, str | int]:
    """Return when and where a training starts: the line "start" of its history."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "device": _device_name(device),
        "backend": backend,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions(),
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _processor() -> str:
    """Return the name of the processor, such as "AMD EPYC 9R14"."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
