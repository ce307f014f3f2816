"""The device of a training."""

import pytest
import torch

from bothways import TrainConfig
from bothways.errors import BackendError
from bothways.kernels.compiled.instruction_sets import Target
from bothways.training.loop.device import layers_precision, training_device


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"device": "cuda"},
            "device 'cuda' is not available to torch on this machine; expected one of cpu",
        ),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="these are errors only without a GPU")
def test_unavailable_devices_are_refused(settings, message):
    with pytest.raises(BackendError, match=message):
        training_device(TrainConfig(**settings))


@pytest.mark.parametrize("has_bfloat16", [False, True])
def test_bfloat16_needs_a_processor_that_multiplies_it(monkeypatch, has_bfloat16):
    monkeypatch.setattr(Target, "has_bfloat16", has_bfloat16)
    config = TrainConfig(precision="bfloat16", device="cpu")
    if has_bfloat16:
        device = training_device(config)
        assert layers_precision(config, device) == "bfloat16"
    else:
        message = "precision is 'bfloat16' but this processor has no AVX512_BF16; expected cuda"
        with pytest.raises(BackendError, match=message):
            training_device(config)


def test_autocast_takes_the_place_of_the_precision_of_the_layers_on_cuda():
    config = TrainConfig(precision="bfloat16")
    assert layers_precision(config, torch.device("cuda")) == "float32"
