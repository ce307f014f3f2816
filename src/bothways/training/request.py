"""The request of a run: all that is needed to start it, and to start it again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from bothways.config import Architecture, Settings, TrainConfig
from bothways.data.dataset import Dataset
from bothways.data.open import find_source, is_built_in
from bothways.data.options import DataOptions
from bothways.errors import ConfigError, DataError
from bothways.recipes import load_recipe


class Request(Settings):
    """All that is needed to start a run again: the content of `request.json`.

    Parameters
    ----------
    source : str, optional
        Name of a built-in dataset, or the absolute path of a file; None for data from Python.
    options : DataOptions
        How the source is read and split.
    recipe : str
    model : Architecture
    training : TrainConfig
    threads : int
        Threads of torch; the weights depend on their number.
    processes : int
        Processes that train together.
    report : bool
        Whether the command line writes a report at the end.
    """

    source: str | None
    options: DataOptions = DataOptions()
    recipe: str
    model: Architecture
    training: TrainConfig
    threads: int = Field(ge=1)
    processes: int = Field(default=1, ge=1)
    report: bool = True


def make_request(
    data: str | Path | Dataset,
    recipe: str | None,
    options: DataOptions | None,
    settings: Mapping[str, Any],
    *,
    report: bool = True,
) -> Request:
    """Check the arguments of `train` and return what `start` needs of them.

    Parameters
    ----------
    data, recipe, options, settings
        As in `train`.
    report : bool
        Whether the command line writes a report, also when it resumes the run.
    """
    if isinstance(data, Path):
        data = str(data)
    _check_data(data)
    if isinstance(data, Dataset) and options is not None:
        raise ConfigError("options were passed with a dataset; expected a path. Omit the options.")
    if recipe is None:
        recipe = "default" if isinstance(data, str) and is_built_in(data) else "time-series"
    options = options or DataOptions()
    target = data.target if isinstance(data, Dataset) else options.target
    if settings.get("readout") == "step" and target == "sequence":
        advice = "Omit readout."
        if isinstance(data, str):
            advice = 'Use --target step (in Python: DataOptions(target="step")), or omit readout.'
        raise ConfigError(
            f"readout is 'step' but {data if isinstance(data, str) else data.name} has one label "
            f"for each sequence; expected a label for each time step. {advice}"
        )
    chosen = load_recipe(recipe).for_target(target).with_settings(settings)
    return Request(
        source=find_source(data) if isinstance(data, str) else None,
        options=_with_absolute_paths(options),
        recipe=recipe,
        model=chosen.model,
        training=chosen.training,
        threads=torch.get_num_threads(),
        report=report,
    )


def _check_data(data: Any) -> None:
    """Raise an error if data are neither a dataset nor the path of one."""
    if not isinstance(data, str | Dataset):
        raise DataError(
            f"data is a {type(data).__name__}; expected a path, a Dataset or 'mnist'. Build one "
            "with Dataset(name, Sequences.from_arrays(arrays, labels), None, classes), or use "
            "bothways.RecurrentClassifier."
        )
    if isinstance(data, str) and not is_built_in(data) and request_file(Path(data)).exists():
        raise ConfigError(
            f"{data} is a run; expected data. To continue the run, add --resume (in Python: "
            f"bothways.resume({data!r}))."
        )


def request_file(folder: Path) -> Path:
    """Return the path of the request of a run in its folder."""
    return folder / "checkpoints" / "request.json"


def _with_absolute_paths(options: DataOptions) -> DataOptions:
    files = {"test": options.test, "validation": options.validation}
    absolute = {name: find_source(path) for name, path in files.items() if path is not None}
    return options.model_copy(update=absolute)
