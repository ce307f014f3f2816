"""A model in a few words: architecture, normalization, readout, origin."""

from bothways.config import ModelConfig, TrainConfig
from bothways.errors import counted
from bothways.models.manifest import Manifest
from bothways.nn.pooling import POOLINGS

_NORMALIZATIONS = {
    "none": "numeric features are used as they are",
    "dataset": "numeric features are standardized with the mean and the standard deviation of the "
    "training data",
    "robust": "numeric features are measured from the median of the training data in units of the "
    "interquartile range, on a scale that is logarithmic for large values",
    "sequence": "numeric features are standardized with the mean and the standard deviation of "
    "their own sequence, which are additional features",
    "both": "the network receives each numeric feature twice: measured from the median of the "
    "training data, on a scale that is logarithmic for large values, and standardized within its "
    "own sequence, whose mean and standard deviation are additional features",
}


def describe_origin(manifest: Manifest) -> str:
    """Return what the model was trained on or converted from."""
    provenance = manifest.provenance
    if provenance.converted_from is not None:
        return f"converted from {provenance.converted_from.file}"
    if provenance.data is None or provenance.training is None:
        return "origin unknown"
    origin = (
        f"recipe {provenance.recipe}, trained on {provenance.data.name} "
        f"({counted(provenance.data.train_count, 'labeled sequence')}), seed "
        f"{provenance.training.seed}"
    )
    threads = provenance.threads
    return origin if threads is None else f"{origin}, {counted(threads, 'thread')}"


def describe_length(training: TrainConfig) -> str:
    """Return the length of the training in steps, in epochs, or both."""
    lengths = []
    if training.steps is not None:
        lengths.append(counted(training.steps, "step"))
    if training.epochs is not None:
        lengths.append(counted(training.epochs, "epoch"))
    return " or ".join(lengths)


def describe_training(training: TrainConfig) -> str:
    """Return how the model was trained: length, batches, optimizer and augmentation."""
    size = training.batch_size
    batches = "batches sized by the training part" if size == "auto" else f"batches of {size}"
    both = training.steps is not None and training.epochs is not None
    longer = ", whichever is longer" if both else ""
    facts = [f"{describe_length(training)}{longer}, with {batches}"]
    if training.crop_steps is not None:
        facts.append(f"random parts of at most {counted(training.crop_steps, 'time step')}")
    facts.append(
        f"{training.optimizer} with learning rate {training.learning_rate:g} ({training.schedule})"
    )
    changes = [
        f"{name.removeprefix('augment_')} {value:g}"
        for name, value in training.active_augmentations.items()
    ]
    if changes:
        facts.append(f"augmentation: {', '.join(changes)}")
    return "; ".join(facts)


def describe_taken(
    training: TrainConfig, steps: int, epochs: int, batch_size: int | None = None
) -> str:
    """Return the length that a training has had, and its batch size if it is known.

    Parameters
    ----------
    training : TrainConfig
    steps, epochs : int
        Optimizer steps and epochs of the history.
    batch_size : int, optional
        What `auto` has given.
    """
    length = f"{counted(steps, 'step')} in {counted(epochs, 'epoch')}"
    if training.batch_size != "auto":
        return f"{length}, batch size {training.batch_size}"
    return length if batch_size is None else f"{length}, batch size {batch_size} (auto)"


def summarize_readout(model: ModelConfig) -> str:
    """Return what each readout of the model returns."""
    return "; ".join(POOLINGS[name].summary for name in model.readouts)


def describe_normalization(manifest: Manifest) -> str:
    """Return what the model does with the values of numeric features first."""
    if not manifest.model.numeric_features:
        return "no effect, because all features are categorical"
    return _NORMALIZATIONS[manifest.model.normalization]


def describe_readout(manifest: Manifest) -> str:
    """Return what the linear layer receives; for bidirectional `last`, with a warning."""
    model = manifest.model
    summary = summarize_readout(model)
    if "last" in model.readouts and model.bidirectional:
        summary += (
            "; at the last step, the backward direction has processed only the last time step"
        )
    if model.readout == "last" and model.bidirectional:
        summary += ". Kept to reproduce the notebooks; readout final uses both directions fully"
    return summary


def describe_architecture(manifest: Manifest) -> str:
    """Return the architecture in a few words.

    Examples are "bidirectional LSTM 2x256, readout last" and "forward GRU 1x64, readout final,
    ensemble of 5 networks".
    """
    model = manifest.model
    direction = "bidirectional" if model.bidirectional else "forward"
    relu = " (relu)" if model.nonlinearity == "relu" else ""
    return (
        f"{direction} {model.cell.upper()}{relu} {model.num_layers}x{model.hidden_size}, "
        f"readout {model.readout}"
        + ("" if model.lookahead is None else f", lookahead {counted(model.lookahead, 'step')}")
        + (f", ensemble of {model.members} networks" if model.members > 1 else "")
    )
