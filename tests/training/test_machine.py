"""What is recorded about the machine of a training."""

import platform
from pathlib import Path

import pytest
import torch

from bothways.training.machine import describe_start, processor_name


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nmodel name\t: Some CPU: 2 GHz\nmodel name\t: other\n", "Some CPU: 2 GHz"),
        ("processor\t: 0\n", "arch"),
        (None, "arch"),
    ],
)
def test_the_name_of_the_processor(monkeypatch, cpuinfo, expected):
    def read_text(path):
        assert path == Path("/proc/cpuinfo")
        if cpuinfo is None:
            raise FileNotFoundError(path)
        return cpuinfo

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "arch")
    assert processor_name() == expected


def test_a_start_names_device_backend_and_threads():
    start = describe_start(torch.device("cpu"), "torch", 3)
    assert (start["device"], start["backend"]) == ("cpu", "torch")
    assert (start["threads"], start["processes"]) == (torch.get_num_threads(), 3)
    assert start["torch"] == torch.__version__
