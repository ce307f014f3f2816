"""Settings that have been renamed, as older versions saved them."""

from typing import Any

from bothways.config.model import Normalization


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
