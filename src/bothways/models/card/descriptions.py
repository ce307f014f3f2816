"""A model in a few words: architecture, normalization, readout, origin."""

from bothways.config import ModelConfig, TrainConfig
from bothways.models.manifest import Manifest
from bothways.nn.pooling import POOLINGS

_NORMALIZATIONS = {
    "none": "numeric features are used as they are",
    "dataset": "numeric features are standardized with the mean and the standard deviation of the "
    "training data",
    "robust": "numeric features are compared with the median and the interquartile range of the "
    "training data, on a scale that is logarithmic for large values",
    "sequence": "numeric features are standardized with the mean and the standard deviation of "
    "their own sequence, which are additional features",
    "both": "numeric features are compared with the training data, as with robust, and with their "
    "own sequence, whose mean and standard deviation are additional features",
}


def describe_origin(manifest: Manifest) -> str:
    """Return what the model was trained on or converted from."""
    provenance = manifest.provenance
    if provenance.converted_from is not None:
        return f"converted from {provenance.converted_from.file}"
    if provenance.data is None or provenance.training is None:
        return "origin unknown"
    return (
        f"recipe {provenance.recipe}, trained on {provenance.data.name} "
        f"({provenance.data.train_count:,} labeled sequences), seed {provenance.training.seed}, "
        f"{provenance.threads} threads"
    )


def describe_length(training: TrainConfig) -> str:
    """Return the length of the training in steps, in epochs, or both."""
    lengths = []
    if training.steps is not None:
        lengths.append(f"{training.steps:,} step{'s' * (training.steps > 1)}")
    if training.epochs is not None:
        lengths.append(f"{training.epochs:,} epoch{'s' * (training.epochs > 1)}")
    return " or ".join(lengths)


def describe_training(training: TrainConfig) -> str:
    """Return how the model was trained: length, batches, optimizer and augmentation."""
    size = training.batch_size
    batches = "batches sized by the training part" if size == "auto" else f"batches of {size}"
    both = training.steps is not None and training.epochs is not None
    longer = ", whichever is longer" if both else ""
    facts = [f"{describe_length(training)}{longer}, with {batches}"]
    if training.crop_steps is not None:
        facts.append(f"random parts of at most {training.crop_steps:,} time steps")
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


def summarize_readout(model: ModelConfig) -> str:
    """Return what each readout of the model returns."""
    return "; ".join(POOLINGS[name].summary for name in model.readouts)


def describe_normalization(manifest: Manifest) -> str:
    """Return what the model does with the values of numeric features first."""
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
        + (f", ensemble of {model.members} networks" if model.members > 1 else "")
    )
