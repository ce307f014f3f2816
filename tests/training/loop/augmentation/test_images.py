"""Affine and elastic transforms of images."""

import pytest
import torch
from augmenting import EVERYTHING, augmented, make_generator

from bothways.config.augmentation import IMAGE_CHANGES
from bothways.data.batching import LabeledBatch


def image(*pixels, height=9, width=7):
    inputs = torch.zeros(1, height, width)
    for y, x in pixels:
        inputs[0, y, x] = 1
    return LabeledBatch(inputs, torch.tensor([height]), torch.tensor([0]))


def centers(batch, **settings):
    """Return the centers of mass of 500 transforms of an image."""
    rows = LabeledBatch(
        batch.inputs.expand(500, -1, -1), batch.lengths.expand(500), batch.labels.expand(500)
    )
    images = augmented(rows, **settings).inputs
    height, width = images.shape[1:]
    mass = images.sum(dim=(1, 2))
    y = (images.sum(dim=2) * torch.arange(height)).sum(dim=1) / mass
    x = (images.sum(dim=1) * torch.arange(width)).sum(dim=1) / mass
    return y, x


def test_a_rotation_turns_about_the_center():
    y, x = centers(image((4, 3)), augment_rotation=90)
    torch.testing.assert_close(y, torch.full((500,), 4.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(x, torch.full((500,), 3.0), atol=1e-4, rtol=0)
    y, x = centers(image((1, 3)), augment_rotation=20)  # three rows above the center
    torch.testing.assert_close((y - 4).hypot(x - 3), torch.full((500,), 3.0), atol=0.25, rtol=0)
    angle = torch.atan2(x - 3, 4 - y).rad2deg()
    assert angle.min() == pytest.approx(-20, abs=3)
    assert angle.max() == pytest.approx(20, abs=3)


def test_a_translation_moves_by_up_to_the_limit():
    y, x = centers(image((4, 3)), augment_translation=1.5)
    for moved in (y - 4, x - 3):
        assert moved.min() == pytest.approx(-1.5, abs=0.05)
        assert moved.max() == pytest.approx(1.5, abs=0.05)


def test_a_shear_is_horizontal():
    y, x = centers(image((1, 3), height=9, width=9), augment_shear=0.3)
    torch.testing.assert_close(y, torch.full((500,), 1.0), atol=1e-4, rtol=0)
    assert (x - 3).abs().max() == pytest.approx(0.9, abs=0.05)


def test_a_zoom_scales_about_the_center():
    y, x = centers(image((1, 1), height=9, width=9), augment_zoom=0.2)
    for distance in (4 - y, 4 - x):
        assert distance.min() == pytest.approx(3 * 0.8, abs=0.1)
        assert distance.max() == pytest.approx(3 * 1.2, abs=0.1)


def test_images_of_different_heights_turn_about_their_own_centers():
    inputs = torch.zeros(2, 9, 7)
    inputs[0, 4, 3] = inputs[1, 2, 3] = 1  # the centers of 9 and of 5 rows
    batch = LabeledBatch(inputs, torch.tensor([9, 5]), torch.tensor([0, 1]))
    result = augmented(batch, augment_rotation=180).inputs
    assert result[0].argmax() == 4 * 7 + 3
    assert result[1].argmax() == 2 * 7 + 3


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1)])
def test_images_of_one_row_or_column(shape):
    """The only row or column is its own center: turning and zooming leave the middle pixel."""
    batch = LabeledBatch(torch.ones(1, *shape), torch.tensor([shape[0]]), torch.tensor([0]))
    turned = augmented(batch, augment_rotation=10, augment_zoom=0.1, augment_shear=0.1).inputs
    torch.testing.assert_close(turned[0, shape[0] // 2, shape[1] // 2], torch.tensor(1.0))
    everything = {name: EVERYTHING[name] for name in IMAGE_CHANGES}
    result = augmented(batch, **everything).inputs
    assert result.isfinite().all()
    assert result.max() <= 1


def test_an_image_is_changed_alike_alone_and_beside_longer_ones():
    """Also if time is shifted before: the padding is no part of the image."""
    settings = {"augment_time_shift": 0.2, "augment_elastic": 2.0, "augment_translation": 4.0}
    short = torch.rand(2, 6, 8, generator=make_generator()) + 1
    for height in (6, 60):
        inputs = torch.zeros(2, height, 8)
        inputs[:, :6] = short
        lengths = torch.tensor([6, 6])
        result = augmented(LabeledBatch(inputs, lengths, torch.tensor([0, 1])), **settings).inputs
        if height == 6:
            expected = result
    torch.testing.assert_close(result[:, :6], expected, atol=1e-4, rtol=1e-4)
    assert not result[:, 6:].any()
