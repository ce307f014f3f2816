"""The machine on which a training runs, for the record."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch

from bothways.models.manifest import versions


def describe_start(device: torch.device, backend: str, processes: int) -> dict[str, str | int]:
    """Return when and where a training starts: the line "start" of its history."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor_name(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "processes": processes,
        "device": _device_name(device),
        "backend": backend,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions(),
    }


def processor_name() -> str:
    """Return the name of the processor, such as "AMD EPYC 9R14"."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
