"""Description of the machine on which a record was made."""

import os
import platform
from importlib.metadata import version

import torch

from bothways.training.machine import processor_name


def describe_machine() -> dict[str, object]:
    """Return the processor, the number of cores, torch's threads and the versions."""
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "bothways": version("bothways"),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
