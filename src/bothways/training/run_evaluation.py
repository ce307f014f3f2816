"""Evaluation of a saved model on the splits of its own data, or on other data."""

from collections.abc import Iterable
from pathlib import Path

from bothways.data.dataset import Dataset
from bothways.data.open import find_source, open_dataset, options_for
from bothways.data.sequences import LabeledSequences
from bothways.data.splitting import hold_out
from bothways.errors import DataError, counted, suggest
from bothways.evaluation.metrics import Metrics
from bothways.models.manifest import Manifest
from bothways.models.trained_model import TrainedModel
from bothways.training.run_data import is_trained_on
from bothways.training.run_directory import RunFolder


def labeled_splits(manifest: Manifest, dataset: Dataset) -> dict[str, LabeledSequences | None]:
    """Return the parts of a dataset by name, None if a part does not exist.

    The dataset that the model was trained on is split as in training: `train`, `validation` and
    `test`. Another dataset has its own parts or, if it has only one, `data`.
    """
    training = manifest.provenance.training
    train_part, validation = dataset.train, dataset.validation
    if training is not None and is_trained_on(manifest, dataset):
        train_part, validation = hold_out(dataset, training.validation_fraction, training.seed)
    elif len(dataset.parts) == 1:
        return {"data": train_part}
    return {"train": train_part, "validation": validation, "test": dataset.test}


def evaluate_splits(
    model: TrainedModel, path: str | Path, source: str | None = None, split: str = "all"
) -> dict[str, Metrics | None]:
    """Return the metrics of a model for each split of a dataset, None if a split does not exist.

    Parameters and errors are those of `splits_to_evaluate`.
    """
    splits = splits_to_evaluate(model, path, source, split)
    return {name: None if part is None else model.evaluate(part) for name, part in splits.items()}


def evaluate_lookaheads(
    model: TrainedModel,
    path: str | Path,
    lookaheads: Iterable[int | None],
    source: str | None = None,
    split: str = "all",
) -> dict[int | None, dict[str, Metrics | None]]:
    """Return what `evaluate_splits` returns for each lookahead; see `with_lookahead`.

    Raises
    ------
    ConfigError
        If the model does not accept a lookahead.
    """
    limited = {lookahead: model.with_lookahead(lookahead) for lookahead in lookaheads}
    splits = splits_to_evaluate(model, path, source, split)
    return {
        lookahead: {
            name: None if part is None else own.evaluate(part) for name, part in splits.items()
        }
        for lookahead, own in limited.items()
    }


def splits_to_evaluate(
    model: TrainedModel, path: str | Path, source: str | None = None, split: str = "all"
) -> dict[str, LabeledSequences | None]:
    """Return the splits of a dataset.

    Parameters
    ----------
    model : TrainedModel
    path : str or Path
        Where the model was loaded from. If that is the folder of a run, its data are known.
    source : str, optional
        A built-in dataset, or the path of a file or folder; default: the data of the run. The data
        of the run are split as in training; other data, or changed data, are read with the same
        columns.
    split : train, validation, test, data or all
        `data` is a dataset other than that of the run, without parts.

    Returns
    -------
    dict
        The sequences by split, None if a split does not exist.

    Raises
    ------
    DataError
        If the data cannot be read, have other classes than the model, or lack the split.
    """
    run = RunFolder(Path(path))
    request = run.read_request() if run.request.exists() else None
    trained_on = None if request is None else request.source
    if source is None and trained_on is None:
        raise DataError(
            f"{path} does not name the data that it was trained on; expected a dataset. "
            f"Run: bothways evaluate {path} DATA"
        )
    dataset = None
    if request is not None and (source is None or find_source(source) == trained_on):
        source = str(trained_on)
        dataset = open_dataset(source, request.options)
    if dataset is None or not is_trained_on(model.manifest, dataset):  # or it has changed since
        source = str(source)
        reading = options_for(source, model.manifest.preprocessing.reading.for_use())
        ungrouped = reading.model_copy(update={"group": None})  # nothing is split
        dataset = open_dataset(source, ungrouped, model.classes)
    if dataset.classes != model.classes:
        raise DataError(
            f"{source} has classes {', '.join(dataset.classes)}; expected those of the model, "
            f"{', '.join(model.classes)}, in this order. Rename or reorder them."
        )
    if dataset.train.input_size != model.manifest.model.input_size:
        raise DataError(
            f"{source} has {counted(dataset.train.input_size, 'feature')} per time step; expected "
            f"{model.manifest.model.input_size}, as in training. Select the same features."
        )
    splits = labeled_splits(model.manifest, dataset)
    if split != "all":
        if splits.get(split) is None:
            there = [name for name, part in splits.items() if part is not None]
            rule = suggest(split, [*there, "all"], f"expected {', '.join(there)} or all")
            raise DataError(f"{source} has no split {split!r}; {rule}. Choose one.")
        splits = {split: splits[split]}
    return splits
