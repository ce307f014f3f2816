"""The device that a network runs on, chosen by name."""

import torch

from bothways.errors import BackendError, describe_unknown


def choose_device(name: str | torch.device) -> torch.device:
    """Return the device with this name.

    Parameters
    ----------
    name : auto, cpu, cuda or mps
        auto is CUDA, MPS or the CPU, in this order.

    Raises
    ------
    BackendError
        If the name is unknown, or the device is not available.
    """
    name = str(name)
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, there in has.items() if there)
    if name not in has:
        raise BackendError(describe_unknown("device", name, ["auto", *has]))
    if not has[name]:
        raise BackendError(
            f"device {name!r} is not available to torch on this machine; expected one of "
            f"{', '.join(kind for kind, there in has.items() if there)}. Use device auto."
        )
    return torch.device(name)


def float64_device(device: torch.device) -> torch.device:
    """Return the device on which to compute in float64: the CPU for MPS, which has no float64."""
    return torch.device("cpu") if device.type == "mps" else device
