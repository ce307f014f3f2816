"""Models saved by every released version still load and give the same logits."""

from pathlib import Path

import pytest
import torch

from bothways import load
from bothways.storage.tensors import load_tensors

FOLDERS = sorted(path.parent for path in Path(__file__).parent.glob("goldens/*/*/config.json"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: "/".join(folder.parts[-2:]))
def test_old_models_give_the_same_logits(folder):
    case, _ = load_tensors(folder / "case.safetensors")
    with torch.no_grad():
        logits = load(folder).classifier(case["inputs"], case["lengths"])
    # The same float32 products; another machine may add them in another order.
    torch.testing.assert_close(logits, case["logits"], atol=1e-6, rtol=1e-6)


def test_there_are_goldens():
    assert len(FOLDERS) >= 6
