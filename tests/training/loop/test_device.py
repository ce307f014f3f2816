"""The device of a training."""

import pytest
import torch

from bothways import TrainConfig
from bothways.errors import BackendError
from bothways.training.loop.device import training_device


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"device": "cuda"},
            "device 'cuda' is not available to torch on this machine; expected one of cpu",
        ),
        (
            {"precision": "bfloat16", "device": "cpu"},
            "precision is 'bfloat16' but the device is cpu",
        ),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="these are errors only without a GPU")
def test_unavailable_devices_and_precisions_are_refused(settings, message):
    with pytest.raises(BackendError, match=message):
        training_device(TrainConfig(**settings))
