import numpy as np
import pytest
import torch
from random_models import random_model

from bothways.errors import ExportError
from bothways.export.comparison import compare_on_random_batches, random_batches


def test_batches_are_ragged_with_nan_in_the_padding():
    model = random_model(missing="mask")
    batches = list(random_batches(model, np.random.default_rng(0)))
    shapes = {tuple(inputs.shape) for inputs, _ in batches}
    assert len(shapes) == len(batches) == 10
    assert shapes >= {(1, 1, 3), (1, 48, 3), (3, 1, 3), (3, 50, 3)}
    assert any(1 in lengths for _, lengths in batches[4:]) or batches[3][1].min() == 1
    for inputs, lengths in batches:
        for row, length in zip(inputs, lengths.tolist(), strict=True):
            assert bool(row[length:].isnan().all())
            assert not bool(row[:length].isnan().all())


def test_batches_fit_readout_flatten():
    model = random_model(readout="flatten", sequence_length=5)
    assert max(int(n.max()) for _, n in random_batches(model, np.random.default_rng(0))) == 5


@pytest.mark.parametrize("readout", ["final", "step"])
def test_the_difference_is_the_greatest_of_the_valid_logits(readout):
    model = random_model(readout=readout)

    def shifted(inputs, lengths):
        logits = model.classifier(inputs, lengths).detach()
        logits[0, 0] += 0.25
        if readout == "step":
            padding = torch.arange(inputs.shape[1]) >= lengths[:, None]
            logits[padding] = torch.nan  # meaningless, and therefore not compared
        return logits

    found = compare_on_random_batches(model, shifted, 0)
    assert found.difference == pytest.approx(0.25)
    assert 0.01 < found.relative_difference <= 0.25
    assert found.batches == 10


def test_answers_that_are_not_finite_are_refused():
    model = random_model()

    def infinite(inputs, lengths):
        return model.classifier(inputs, lengths).detach() / 0

    with pytest.raises(ExportError, match=r"logits of the exported file on random .* not all fin"):
        compare_on_random_batches(model, infinite, 0)
