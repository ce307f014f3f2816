"""Settings under other names: those of older versions, and usual ones elsewhere."""

from collections.abc import Iterable
from typing import Any

from bothways.config.architecture import Normalization
from bothways.errors import suggest

_USUAL_NAMES = {
    "batch_size": ("batch", "batches", "bs", "batchsize"),
    "bidirectional": ("bi", "both", "direction", "directions", "num_directions"),
    "calibrate": ("calibration", "temperature"),
    "cell": ("rnn", "rnn_type", "cell_type", "model", "type"),
    "epochs": ("epoch", "num_epochs", "n_epochs", "max_epochs", "passes"),
    "gradient_clip": ("clip", "clip_norm", "clipping", "grad_clip", "max_norm", "max_grad_norm"),
    "hidden_size": ("units", "hidden", "hidden_dim", "hidden_units", "width"),
    "label_smoothing": ("smoothing",),
    "learning_rate": ("lr", "rate", "alpha"),
    "members": ("ensemble", "networks"),
    "average_decay": ("ema", "average"),
    "nonlinearity": ("activation",),
    "normalization": ("norm", "normalize", "scaling"),
    "num_layers": ("layer", "layers", "n_layers", "depth"),
    "optimizer": ("optim",),
    "patience": ("early_stopping", "early_stop"),
    "readout": ("pooling", "pool"),
    "schedule": ("scheduler", "lr_schedule", "lr_scheduler"),
    "seed": ("random_state", "random_seed"),
    "steps": ("step", "max_steps", "iterations", "num_steps"),
    "stem_channels": ("stem", "conv", "convolutions", "channels"),
    "validation_fraction": ("validation", "validation_split", "val", "val_fraction"),
    "warmup_fraction": ("warmup",),
    "weight_decay": ("wd", "l2", "decay"),
}
"""Names of settings in other programs."""


def describe_unknown_setting(name: str, known: Iterable[str]) -> str:
    """Return a message about an unknown setting, with the setting that is probably meant.

    >>> describe_unknown_setting("lr", ["cell", "learning_rate"])
    "setting 'lr' is unknown; did you mean 'learning_rate'? To list all, run: bothways settings"
    """
    rule = suggest(known_name(name), known, "to list all, run: bothways settings")
    return f"setting {name!r} is unknown; {rule}"


def known_name(name: str) -> str:
    """Return the setting that a name usually stands for, or the name itself.

    >>> known_name("lr"), known_name("--batch-size"), known_name("color")
    ('learning_rate', 'batch_size', 'color')
    """
    plain = name.lower().lstrip("-").replace("-", "_")
    return next((setting for setting, names in _USUAL_NAMES.items() if plain in names), plain)


def normalization_of(standardize: object) -> Normalization:
    """Return the value of `normalization` that has replaced a value of `standardize`."""
    return "dataset" if standardize else "none"


def with_current_names(content: Any) -> Any:
    """Return the content of a `config.json` or a `request.json` with the current names of settings.

    Parameters
    ----------
    content : object
        As parsed, not validated. Damaged content is returned as it is.
    """
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("standardize"), bool):
        return content
    if "normalization" in model:  # no version has saved both
        return content
    others = {name: value for name, value in model.items() if name != "standardize"}
    return content | {"model": others | {"normalization": normalization_of(model["standardize"])}}
