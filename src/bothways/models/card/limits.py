"""What a model card says about the limits of a model."""

from collections.abc import Mapping

from bothways.errors import counted
from bothways.evaluation.metrics import Metrics
from bothways.models.card.head import HELD_OUT
from bothways.models.card.markdown import code_list
from bothways.models.manifest import Manifest

_FEW_EXAMPLES = 20
_FEW_HELD_OUT = 200
_LOW_RECALL = 0.5
_TYPICAL = {
    "robust": "the median of the feature in training",
    "sequence": "the mean of the feature in the same sequence",
    "both": "the mean of the feature in the same sequence",
}
"""What replaces missing values, by normalization, if it is not the mean in training."""


def describe_limits(manifest: Manifest, metrics: Mapping[str, Metrics]) -> list[str]:
    """Return what a user of a model must know, as sentences in Markdown.

    Parameters
    ----------
    manifest : Manifest
    metrics : dict of Metrics
        By split.
    """
    return [*_of_inputs(manifest), *_of_network(manifest), *_of_answers(manifest, metrics)]


def _of_inputs(manifest: Manifest) -> list[str]:
    model, preprocessing = manifest.model, manifest.preprocessing
    reading = preprocessing.reading
    size = model.input_size
    limits = [
        f"Each time step must have the {counted(size, 'feature')} of the training data, in "
        "the same order and unit."
    ]
    if preprocessing.training_range is not None:
        low, high = preprocessing.training_range
        limits.append(
            f"Values in training range from {low:g} to {high:g}. Values far outside give a "
            "warning, and the accuracy there is unknown."
        )
    if model.accepts_missing:
        typical = _TYPICAL.get(model.normalization, "the mean of the feature in training")
        limits.append(
            f"Missing values (NaN) are replaced by {'0' if model.missing == 'zero' else typical}"
            + (", and an additional feature marks them." if model.missing == "mask" else ".")
        )
    else:
        limits.append("Missing values (NaN) raise an error.")
    if any(model.categories):
        limits.append(
            "Categories that do not occur in training are all treated as one unknown category."
        )
    if reading.window is not None:
        limits.append(
            f"The model was trained on windows of {counted(reading.window, 'time step')}; the "
            "accuracy for much longer or shorter sequences is unknown."
        )
    if model.sequence_length is not None:
        limits.append(
            f"A sequence of more than {counted(model.sequence_length, 'time step')} raises an "
            "error."
        )
    return limits


def _of_network(manifest: Manifest) -> list[str]:
    model = manifest.model
    limits = []
    if model.bidirectional:
        limits.append(
            "The network reads sequences in both directions, so it needs a whole sequence before "
            "it can answer."
        )
    elif model.normalizes_sequences and model.numeric_features:
        limits.append(
            "Values are compared with those of their whole sequence, so the model needs a whole "
            "sequence before it can answer."
        )
    if model.bidirectional and model.readout == "last":
        limits.append(
            "With readout last, the backward direction of the top layer has made one step when the "
            "model answers"
            + (": it has read the last time step only." if model.num_layers == 1 else ".")
        )
    if model.members > 1:
        limits.append(
            f"An answer takes as long as {model.members} answers of one network: all networks of "
            "the ensemble run, one after another."
        )
    if not model.calibrate:
        limits.append(
            "The probabilities are not calibrated: of the answers with a probability of 0.9, more "
            "or less than 90 % may be right."
        )
    return limits


def _of_answers(manifest: Manifest, metrics: Mapping[str, Metrics]) -> list[str]:
    limits = ["The answer is always one of the classes, also for inputs of a different kind."]
    if not metrics:
        return [*limits, "The accuracy of the model is unknown."]
    split = next((name for name in HELD_OUT if name in metrics), None)
    if split is None:
        limits.append(
            "There is no held-out data: the metrics are those of the training data, and the "
            "accuracy on new data is unknown."
        )
    elif split == "validation":
        limits.append(
            "There is no test set. The validation set has chosen the epoch, so its metrics are "
            "too optimistic."
        )
    if "train" in metrics and manifest.model.target == "sequence":
        of_training = metrics["train"].per_class
        few = [name for name, found in of_training.items() if found.count < _FEW_EXAMPLES]
        if few:
            limits.append(
                f"Classes with fewer than {_FEW_EXAMPLES} training sequences: {code_list(few)}."
            )
    if split is not None:
        count = metrics[split].count
        if count < _FEW_HELD_OUT:
            limits.append(
                f"The {split} set has {counted(count, manifest.model.target)} only, so its "
                "metrics are uncertain."
            )
        held_out = metrics[split].per_class
        absent = [name for name, found in held_out.items() if not found.count]
        low = [n for n, found in held_out.items() if found.count and found.recall < _LOW_RECALL]
        if absent:
            limits.append(
                f"Classes that do not occur in the {split} set, so that it says nothing about "
                f"them: {code_list(absent)}."
            )
        if low:
            limits.append(
                f"Classes of which less than {_LOW_RECALL:.0%} are recognized in the {split} "
                f"set: {code_list(low)}."
            )
    return limits
