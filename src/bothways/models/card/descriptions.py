"""A model in a few words: architecture, normalization, readout, origin."""

from bothways.config import ModelConfig, TrainConfig
from bothways.errors import counted
from bothways.models.manifest import Manifest, TrainingData
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
        f"({describe_counts(provenance.data)}), seed {provenance.training.seed}"
    )
    threads = provenance.threads
    return origin if threads is None else f"{origin}, {counted(threads, 'thread')}"


def describe_counts(data: TrainingData) -> str:
    """Return the numbers of training and validation sequences.

    Older models only know the number of both together.
    """
    train = data.split_counts.get("train")
    if train is None:
        return f"{counted(data.train_count, 'sequence')} for training and validation"
    validation = data.split_counts.get("validation")
    if validation is None:
        return counted(train, "training sequence")
    return f"{train:,} training, {counted(validation, 'validation sequence')}"


def describe_length(training: TrainConfig) -> str:
    """Return the length of the training in steps, in epochs, or both."""
    lengths = []
    if training.steps is not None:
        lengths.append(counted(training.steps, "step"))
    if training.epochs is not None:
        lengths.append(counted(training.epochs, "epoch"))
    return " or ".join(lengths)


def describe_training(training: TrainConfig, taken: str = "") -> str:
    """Return how the model was trained: length, batches, optimizer and augmentation.

    Parameters
    ----------
    training : TrainConfig
    taken : str
        From `describe_taken`; default: the requested length.
    """
    size = training.batch_size
    batches = "batches sized by the training set" if size == "auto" else f"batches of {size}"
    facts = [taken or f"{_describe_request(training)}, with {batches}"]
    if training.crop_steps is not None:
        facts.append(f"random parts of at most {counted(training.crop_steps, 'time step')}")
    facts.append(
        f"{training.optimizer} with learning rate {training.learning_rate:g} ({training.schedule})"
    )
    if training.precision != "float32":
        facts.append(f"precision {training.precision}")
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
    """Return the length of a finished training and its batch size.

    The requested length follows if it is a different one.

    Parameters
    ----------
    training : TrainConfig
    steps, epochs : int
        Optimizer steps and epochs of the history.
    batch_size : int, optional
        The result of `auto`, which older runs did not save.
    """
    done = counted(steps, "step"), counted(epochs, "epoch")
    taken = " in ".join(done)
    if training.batch_size != "auto":
        taken += f", batches of {training.batch_size}"
    elif batch_size is not None:
        taken += f", batches of {batch_size} (auto)"
    is_requested = describe_length(training) in done
    return taken if is_requested else f"{taken} (requested: {_describe_request(training)})"


def _describe_request(training: TrainConfig) -> str:
    both = training.steps is not None and training.epochs is not None
    return describe_length(training) + (", whichever is longer" if both else "")


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
            ". At the last step, the backward direction of the top layer has made one step. "
            "Readout last is kept to reproduce the notebooks; final uses the final state of both "
            "directions"
        )
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
