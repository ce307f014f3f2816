import pytest
import torch

from bothways.errors import BackendError
from bothways.nn.device import choose_device, float64_device


@pytest.mark.parametrize(
    ("there", "chosen"),
    [((), "cpu"), (("mps",), "mps"), (("cuda",), "cuda"), (("cuda", "mps"), "cuda")],
)
def test_auto_prefers_cuda_and_then_mps(monkeypatch, there, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)
    assert choose_device("auto") == torch.device(chosen)
    assert choose_device("cpu") == choose_device(torch.device("cpu")) == torch.device("cpu")
    for name in there:
        assert choose_device(name) == torch.device(name)


def test_a_device_that_is_not_available_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(
        BackendError, match=r"'cuda' is not available .*; expected one of mps, cpu\. Use device au"
    ):
        choose_device("cuda")


def test_an_unknown_device_is_refused():
    with pytest.raises(
        BackendError, match=r"'cdua' is unknown; did you mean 'cuda'\? Expected one of auto"
    ):
        choose_device("cdua")


def test_float64_runs_on_the_cpu_if_the_device_has_none():
    devices = {name: float64_device(torch.device(name)).type for name in ("cpu", "cuda", "mps")}
    assert devices == {"cpu": "cpu", "cuda": "cuda", "mps": "cpu"}
