"""Draw digits and their random changes: python docs/images/augmentation.py."""

from pathlib import Path

import matplotlib.pyplot as plt
import torch
from PIL import Image

from bothways import open_dataset
from bothways.config import Augmentation, ModelConfig
from bothways.training.loop.augmentation import augment

PICTURE = Path(__file__).with_suffix(".png")
ROWS = {
    "unchanged": {},
    "rotation 15": {"augment_rotation": 15},
    "zoom 0.2": {"augment_zoom": 0.2},
    "shear 0.3": {"augment_shear": 0.3},
    "translation 3": {"augment_translation": 3},
    "elastic 1": {"augment_elastic": 1},
    "time_shift 0.2": {"augment_time_shift": 0.2},
    "time_warp 0.5": {"augment_time_warp": 0.5},
    "scale 0.5": {"augment_scale": 0.5},
    "noise 0.3": {"augment_noise": 0.3},
    "time_mask 0.3": {"augment_time_mask": 0.3},
    "feature_mask 0.2": {"augment_feature_mask": 0.2},
}
DIGITS = 12


def main() -> None:
    """Draw a row for each of `ROWS`."""
    digits = open_dataset("mnist").train.batch(range(DIGITS))
    model = ModelConfig(input_size=28, num_classes=10)
    generator = torch.Generator().manual_seed(0)
    figure, rows = plt.subplots(len(ROWS), 1, figsize=(6.2, 0.5 * len(ROWS)), layout="constrained")
    for axes, (name, settings) in zip(rows, ROWS.items(), strict=True):
        changed = augment(digits, Augmentation(**settings), model, generator).inputs
        axes.imshow(torch.cat(list(changed), dim=1), cmap="gray_r", vmin=0, vmax=1)
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        axes.set(xticks=[], yticks=[], frame_on=False)
    figure.savefig(PICTURE, dpi=130, bbox_inches="tight")
    Image.open(PICTURE).convert("L").quantize(16).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
