"""Simple baselines: classifiers of sequences, or of time steps.

Each baseline is a function of the training sequences and of held-out sequences. It returns scores
(count, num_classes), the largest of which is the prediction: one row for each held-out sequence, or
for each of their labeled time steps. This is the only module that imports aeon.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn import functional

from bothways.config import Target
from bothways.data.batching import IGNORED
from bothways.data.record import Array
from bothways.data.sequences import LabeledSequences, Sequences

_MINI_ROCKET = "aeon.transformations.collection.convolution_based"
_KERNEL = 9  # the least length of a series for MiniRocket

Baseline = Callable[[LabeledSequences, LabeledSequences], Array]


def majority(training: LabeledSequences, held_out: LabeledSequences) -> Array:
    """Return the frequencies of the classes in training, for each label."""
    labels = _labels(training)
    counts = np.bincount(labels, minlength=_num_classes(training, held_out))
    return np.tile(counts / len(labels), (len(_labels(held_out)), 1))


def summary_regression(training: LabeledSequences, held_out: LabeledSequences) -> Array:
    """Return the probabilities of logistic regression on summary statistics of each feature."""
    model = _regression()
    model.fit(summaries(training), _labels(training))
    probabilities = model.predict_proba(summaries(held_out))
    return _by_class(probabilities, model.classes_, _num_classes(training, held_out))


def step_regression(training: LabeledSequences, held_out: LabeledSequences) -> Array:
    """Return the probabilities of logistic regression on the features of single time steps."""
    model = _regression()
    model.fit(_labeled_steps(training), _labels(training))
    probabilities = model.predict_proba(_labeled_steps(held_out))
    return _by_class(probabilities, model.classes_, _num_classes(training, held_out))


def mini_rocket(training: LabeledSequences, held_out: LabeledSequences) -> Array:
    """Return the scores of MiniRocket and a ridge classifier.

    MiniRocket adds up the features of a time step, and needs sequences of one length. So features
    are standardized with the mean and the deviation of training, and sequences are interpolated to
    the length of the longest one, also across missing values. Their lengths are lost.

    References
    ----------
    Dempster, Schmidt & Webb 2021, "MiniRocket"; aeon's implementation.
    """
    transformer = importlib.import_module(_MINI_ROCKET).MiniRocket(random_state=0)
    with np.errstate(invalid="ignore"):  # a feature may be missing in all of training
        scaler = StandardScaler().fit(np.concatenate(_each(training)))
    longest = max(training.longest, held_out.longest, _KERNEL)
    model = make_pipeline(
        transformer,
        StandardScaler(with_mean=False),
        RidgeClassifierCV(alphas=np.logspace(-3, 3, 10)),
    )
    model.fit(_resampled(training, scaler, longest), _labels(training))
    scores = model.decision_function(_resampled(held_out, scaler, longest))
    if scores.ndim == 1:  # of two classes, the second one's
        scores = np.stack([-scores, scores], axis=1)
    return _by_class(scores, model.classes_, _num_classes(training, held_out))


def baselines_for(target: Target) -> tuple[dict[str, Baseline], list[str]]:
    """Return the available baselines by name, and notes about those that are not.

    Parameters
    ----------
    target : sequence or step
        What the labels belong to.
    """
    found: dict[str, Baseline] = {"majority class": majority}
    if target == "step":
        return found | {"logistic regression on single steps": step_regression}, []
    found["logistic regression on summaries"] = summary_regression
    try:
        importlib.import_module(_MINI_ROCKET)
    except ImportError:
        note = (
            "MiniRocket is not compared, because it needs the package aeon, which is not "
            "installed. Run: pip install aeon"
        )
        return found, [note]
    return found | {"MiniRocket": mini_rocket}, []


def summaries(sequences: Sequences) -> Array:
    """Return the length of each sequence and seven statistics of each feature.

    These are mean, standard deviation, minimum, maximum, first and last value, and the fraction of
    missing values: float64 (count, 1 + 7 * input_size). Missing values are replaced by the mean of
    the feature in the sequence; if all are missing, the other statistics are NaN.
    """
    rows = []
    for values in _each(sequences):
        missing = np.isnan(values)
        filled = np.where(missing, _mean(values), values)
        of_features = (
            filled.mean(0), filled.std(0), filled.min(0), filled.max(0), filled[0], filled[-1],
            missing.mean(0),
        )  # fmt: skip
        rows.append(np.concatenate([[len(values)], *of_features]))
    return np.stack(rows)


def one_hot(sequences: LabeledSequences, categories: Sequence[int]) -> LabeledSequences:
    """Return the sequences with one-hot categories.

    Parameters
    ----------
    categories : see `ModelConfig`
    """
    if not any(categories):
        return sequences
    columns = [
        functional.one_hot(column.long(), count + 1).float() if count else column[:, None]
        for column, count in zip(sequences.steps.T, categories, strict=True)
    ]
    return replace(sequences, steps=torch.cat(columns, dim=1), in_file=False)


def _resampled(sequences: Sequences, scaler: StandardScaler, length: int) -> Array:
    """Return the standardized sequences interpolated to one length, (count, input_size, length)."""
    grid = np.linspace(0, 1, length)
    return np.array(
        [
            [_interpolated(grid, feature) for feature in scaler.transform(values).T]
            for values in _each(sequences)
        ]
    )


def _interpolated(grid: Array, feature: Array) -> Array:
    """Return the values of a feature (time,) at the grid from 0 to 1; 0 if all are missing."""
    present = ~np.isnan(feature)
    if not present.any():
        return np.zeros(len(grid))
    times = np.linspace(0, 1, len(feature))
    values: Array = np.interp(grid, times[present], feature[present])
    return values


def _mean(values: Array) -> Array:
    """Return the mean of each feature without missing values; NaN if all are missing."""
    present = ~np.isnan(values)
    counts = present.sum(axis=0)
    total = np.where(present, values, 0).sum(axis=0) / np.maximum(counts, 1)
    mean: Array = np.where(counts > 0, total, np.nan)
    return mean


def _each(sequences: Sequences) -> list[Array]:
    return [values.double().numpy() for values in sequences.rows()]


def _regression() -> Pipeline:
    """Return logistic regression on standardized values; missing ones are the mean of training."""
    imputer = SimpleImputer(keep_empty_features=True)
    return make_pipeline(imputer, StandardScaler(), LogisticRegression(max_iter=2000))


def _labels(sequences: LabeledSequences) -> Array:
    """Return all labels that are not ignored."""
    labels = sequences.flat_labels()
    known: Array = labels[labels != IGNORED].numpy()
    return known


def _labeled_steps(sequences: LabeledSequences) -> Array:
    """Return the time steps whose labels are not ignored, (count, input_size)."""
    known = sequences.flat_labels().numpy() != IGNORED
    steps: Array = np.concatenate(_each(sequences))[known]
    return steps


def _num_classes(training: LabeledSequences, held_out: LabeledSequences) -> int:
    return 1 + max(training.largest_label, held_out.largest_label)


def _by_class(scores: Array, classes: Array, num_classes: int) -> Array:
    """Return scores with a column for each class number, the least for unknown classes."""
    found: Array = np.full((len(scores), num_classes), scores.min())
    found[:, classes] = scores
    return found
