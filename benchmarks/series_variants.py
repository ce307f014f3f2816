"""The variants of recipe `time-series` that `series_search.py` runs.

A variant is a dict of settings that replace those of the recipe. Its key "step", if it has one, is
a dict of settings that replace these in turn where steps have labels. Records are found by name and
settings. Each variant states all settings that the search has changed, so that a record keeps its
meaning when the recipe changes; if the code changes, a variant needs a new name.
"""

from typing import Any

Settings = dict[str, Any]

FORMER: Settings = {
    "normalization": "dataset",
    "readout": "max",
    "epochs": 100,
    "batch_size": 16,
    "augment_time_warp": 0.0,
    "augment_time_shift": 0.0,
    "step": {"normalization": "dataset", "readout": "step", "crop_steps": None},
}
"""The recipe before the search."""


def changed(base: Settings, *, step: Settings | None = None, **settings: Any) -> Settings:
    """Return `base` with some settings replaced; a length in steps replaces that in epochs."""
    kept = {n: v for n, v in base.items() if n != "epochs" or "steps" not in settings}
    return kept | settings | {"step": base["step"] | (step or {})}


ROBUST = changed(FORMER, normalization="robust", step={"normalization": "robust"})
BOTH = changed(FORMER, normalization="both", step={"normalization": "robust"})
MEAN_MAX = changed(BOTH, readout="mean+max", steps=1000)
WARP = changed(MEAN_MAX, augment_time_warp=0.1)
WARP_SHIFT = changed(WARP, augment_time_shift=0.05, batch_size="auto")
CROPS = {"crop_steps": 256}
CHOSEN = changed(WARP, batch_size="auto", step=CROPS | {"augment_time_warp": 0.0}) | {"epochs": 20}

VARIANTS: dict[str, Settings] = {
    "baseline": FORMER,
    "dataset 2000": changed(FORMER, steps=2000),
    "dataset 1000": changed(FORMER, steps=1000),
    # robust: asinh of one deviation; robust 3 and all later ones: of three deviations
    "robust 2000": changed(FORMER, normalization="robust", steps=2000),
    "robust 3 1000": changed(FORMER, normalization="robust", steps=1000),
    "both shift 2000": changed(BOTH, steps=2000),
    "both 3 1000": changed(BOTH, steps=1000),
    "both 3 500": changed(BOTH, steps=500),
    "both 3 1000 ema.99": changed(BOTH, steps=1000, average_decay=0.99),
    "both 3 1000 mean+max": MEAN_MAX,
    "mean+max, do.4": changed(MEAN_MAX, dropout=0.4),
    "mean+max, jitter.4": changed(MEAN_MAX, input_jitter=0.4),
    "mean+max, 2000": changed(MEAN_MAX, steps=2000),
    "mean+max, shift.1": changed(MEAN_MAX, augment_time_shift=0.1),
    "mean+max, mask.2": changed(MEAN_MAX, augment_time_mask=0.2),
    "mean+max, b32": changed(MEAN_MAX, batch_size=32),
    "mean+max, sequence": changed(MEAN_MAX, normalization="sequence"),
    "mean+max, kernel 17": changed(MEAN_MAX, stem_kernel=17),
    "mean+max, crop 64": changed(MEAN_MAX, step={"crop_steps": 64}),
    "mean+max, crop 128": changed(MEAN_MAX, step={"crop_steps": 128}),
    "mean+max, crop 256": changed(MEAN_MAX, step={"crop_steps": 256}),
    "warp.1": WARP,
    "warp.2": changed(WARP, augment_time_warp=0.2),
    "warp.1 shift.1": changed(WARP, augment_time_shift=0.1),
    "warp.1 shift.05": changed(WARP, augment_time_shift=0.05),
    "warp.1 mask.2": changed(WARP, augment_time_mask=0.2),
    "warp.1 fmask.1": changed(WARP, augment_feature_mask=0.1),
    "warp.1 scale.2": changed(WARP, augment_scale=0.2),
    "warp.1 kernel 17": changed(WARP, stem_kernel=17),
    "warp.1 jitter.1": changed(WARP, input_jitter=0.1),
    "warp.1 small": changed(WARP, hidden_size=32, stem_channels=64),
    "warp.1 wd.1": changed(WARP, weight_decay=0.1),
    "warp.1 members 3": changed(WARP, members=3),
    "warp.1 crop 128": changed(WARP, step={"crop_steps": 128}),
    "warp.1 2000": changed(WARP, steps=2000),
    "warp.1 2000 mask.1": changed(WARP, steps=2000, augment_time_mask=0.1),
    "warp.1 2000 do.4": changed(WARP, steps=2000, dropout=0.4),
    "warp.1 2000 shift.1 mask.2": changed(
        WARP, steps=2000, augment_time_shift=0.1, augment_time_mask=0.2
    ),
    "warp+shift": WARP_SHIFT,
    "warp+shift or 60": WARP_SHIFT | {"epochs": 60},
    "warp+shift or 20": WARP_SHIFT | {"epochs": 20},
    "warp+shift 2000": changed(WARP_SHIFT, steps=2000),
    "warp+shift.1 2000": changed(WARP_SHIFT, steps=2000, augment_time_shift=0.1),
    "warp+shift, jitter 0": changed(WARP_SHIFT, input_jitter=0.0),
    "warp+shift, noise.3": changed(WARP_SHIFT, augment_noise=0.3),
    "warp+shift, noise.6": changed(WARP_SHIFT, augment_noise=0.6),
    "warp+shift, crop 256": changed(WARP_SHIFT, step=CROPS),
    "warp+shift, crop 512": changed(WARP_SHIFT, step={"crop_steps": 512}),
    "warp+shift, crop 256, or 20": changed(WARP_SHIFT, step=CROPS) | {"epochs": 20},
    "chosen": CHOSEN,
    # the same settings, but half of the stem's first channels start as differences in time
    "differences": CHOSEN,
    # only if they deviate less than half as much as the other channels
    "differences if slow": CHOSEN,
    # only if they would deviate less than half as much as they do, over all channels: the recipe
    "differences if slow 2": CHOSEN,
}
