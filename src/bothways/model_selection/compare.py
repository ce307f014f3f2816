"""Comparison of recurrent networks with simple baselines, and of directions.

In each round, all candidates are trained on the same part of the training data and evaluated on the
rest; each round has another seed and another split. The test part is not used. The best network and
the best baseline are selected by the same accuracies that the test compares, so with many
candidates the p-values are too small.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from bothways.data.batching import IGNORED
from bothways.data.dataset import Dataset
from bothways.data.record import Array
from bothways.data.sequences import LabeledSequences
from bothways.errors import ConfigError
from bothways.evaluation.evaluate import compute_logits
from bothways.evaluation.recordings import labels_of_recordings, mean_over_recordings
from bothways.optional import require
from bothways.recipes import Recipe, load_recipe
from bothways.training.fit import Plan, fit, prepare
from bothways.training.loop.events import EpochDone, StepDone
from bothways.training.loop.trainer import Training

HELD_OUT = 0.25
"""Fraction of the training data that a round evaluates on."""


@dataclass(frozen=True)
class Candidate:
    """A candidate and its accuracy in each round.

    Parameters
    ----------
    name : str
    is_recurrent : bool
    accuracies : list of float
    recording_accuracies : list of float
        If sequences are windows: accuracies on whole recordings, whose scores are the mean over
        their windows. Otherwise empty.
    """

    name: str
    is_recurrent: bool
    accuracies: list[float] = field(default_factory=list)
    recording_accuracies: list[float] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Mean accuracy."""
        return float(np.mean(self.accuracies))

    @property
    def deviation(self) -> float:
        """Sample standard deviation of the accuracies; 0 for one round."""
        return _deviation(self.accuracies)

    @property
    def recording_mean(self) -> float:
        """Mean accuracy on recordings."""
        return float(np.mean(self.recording_accuracies))

    @property
    def recording_deviation(self) -> float:
        """Sample standard deviation of the accuracies on recordings; 0 for one round."""
        return _deviation(self.recording_accuracies)


def _deviation(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


@dataclass(frozen=True)
class Difference:
    """The difference of two candidates, `first` minus `second`.

    Parameters
    ----------
    first, second : str
    mean : float
        Of the differences in accuracy.
    low, high : float
        95 % confidence interval.
    p_value : float
        Two-sided; nan if there is only one round or no variance.
    """

    first: str
    second: str
    mean: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """All candidates, and the differences of two pairs, None if there is no such pair."""

    candidates: list[Candidate]
    recurrent_against_baseline: Difference | None
    both_ways_against_forward: Difference | None


def compare(
    dataset: Dataset,
    recipe: str = "time-series",
    vary: Mapping[str, Sequence[Any]] | None = None,
    *,
    rounds: int = 5,
    on_round: Callable[[int], None] = lambda number: None,
    **settings: Any,
) -> Comparison:
    """Train variants of a recipe, and simple baselines, with several splits and seeds.

    Parameters
    ----------
    dataset : Dataset
        Only its training part is used.
    recipe : str
    vary : dict, optional
        The values to try for each setting, in all combinations; default: the recipe with both
        directions and with the forward direction.
    rounds : int
        Number of splits and seeds.
    on_round : callable
        Called after each round with its number, from 1.
    **settings
        Settings of all variants.

    Raises
    ------
    ConfigError
        If a setting does not exist, or `dataset` is split by time.
    """
    require("sklearn", extra="sklearn", purpose="baselines")
    from bothways.model_selection.baselines import baselines, one_hot

    if dataset.in_time_order:
        raise ConfigError(
            "by_time allows only one split, but each round needs another one; expected random "
            "splits. Omit it."
        )
    for name in ("seed", "validation_fraction"):
        if name in (vary or {}):
            raise ConfigError(f"{name} varies with the rounds; expected other settings. Omit it.")
    settings |= {"validation_fraction": HELD_OUT, "calibrate": False}
    base = load_recipe(recipe).with_settings(settings, dataset.target)
    variants = _variants(base, vary or {"bidirectional": [True, False]})
    training_data = replace(dataset, validation=None, test=None)
    candidates: dict[str, Candidate] = {}
    sizes = []
    for number in range(rounds):
        scores: dict[str, Array] = {}
        plans = {}
        for name, variant in variants.items():
            plan = prepare(training_data, variant.with_settings({"seed": number}))
            scores[name], plans[name] = _scores(plan), plan
        train, held_out = next((plan.train, plan.validation) for plan in plans.values())
        assert held_out is not None  # HELD_OUT is not 0
        sizes.append(len(held_out) / len(train))
        sides = [one_hot(part, dataset.categories) for part in (train, held_out)]
        scores |= {name: judge(*sides) for name, judge in baselines(dataset.target).items()}
        for name, found in scores.items():
            candidate = candidates.setdefault(name, Candidate(name, name in variants))
            _add_accuracies(candidate, found, held_out)
        on_round(number + 1)
    ratio = float(np.mean(sizes))
    networks = [candidate for candidate in candidates.values() if candidate.is_recurrent]
    others = [candidate for candidate in candidates.values() if not candidate.is_recurrent]
    best = max(networks, key=lambda candidate: candidate.mean)
    both = _pair_of_directions(best, networks, variants)
    return Comparison(
        list(candidates.values()),
        paired_difference(best, max(others, key=lambda candidate: candidate.mean), ratio),
        None if both is None else paired_difference(*both, ratio),
    )


def paired_difference(first: Candidate, second: Candidate, ratio: float) -> Difference:
    """Compare two candidates with the corrected resampled t-test.

    Parameters
    ----------
    first, second : Candidate
    ratio : float
        Number of evaluated sequences divided by the number of training sequences. The correction
        accounts for the overlap of the training parts.

    References
    ----------
    Nadeau & Bengio 2003, "Inference for the generalization error", equation 8.
    """
    special = require("scipy.special", extra="sklearn", purpose="paired comparisons")
    differences = np.subtract(first.accuracies, second.accuracies)
    mean, count = float(differences.mean()), len(differences)
    names = first.name, second.name
    if count < 2:
        return Difference(*names, mean, math.nan, math.nan, math.nan)
    error = math.sqrt((1 / count + ratio) * float(differences.var(ddof=1)))
    if error == 0:
        return Difference(*names, mean, mean, mean, 0.0 if mean else 1.0)
    reach = float(special.stdtrit(count - 1, 0.975)) * error
    p_value = 2 * float(special.stdtr(count - 1, -abs(mean) / error))
    return Difference(*names, mean, mean - reach, mean + reach, p_value)


def _variants(base: Recipe, vary: Mapping[str, Sequence[Any]]) -> dict[str, Recipe]:
    variants = {}
    for values in product(*vary.values()):
        chosen = dict(zip(vary, values, strict=True))
        variant = base.with_settings(chosen)
        variants[_name(variant, chosen)] = variant
    return variants


def _name(variant: Recipe, chosen: Mapping[str, Any]) -> str:
    """Return the cell, the directions and the other varied settings."""
    model = variant.model
    reads = "both ways" if model.bidirectional else "forward"
    shown = {k: v for k, v in chosen.items() if k not in ("cell", "bidirectional")}
    more = "".join(f", {name} {value}" for name, value in shown.items())
    return f"{model.cell.upper()} {reads}{more}"


def _pair_of_directions(
    best: Candidate, networks: list[Candidate], variants: Mapping[str, Recipe]
) -> tuple[Candidate, Candidate] | None:
    """Return the best network and its variant with the other directions, bidirectional first."""
    by_name = {candidate.name: candidate for candidate in networks}
    own = variants[best.name].model
    twin = own.model_copy(update={"bidirectional": not own.bidirectional})
    name = next((n for n, variant in variants.items() if variant.model == twin), None)
    if name is None:
        return None
    pair = best, by_name[name]
    return pair if own.bidirectional else (pair[1], pair[0])


def _scores(plan: Plan) -> Array:
    """Train a network and return the probabilities of its last epoch on the held-out part."""

    def on_event(training: Training, event: StepDone | EpochDone) -> None:
        if isinstance(event, EpochDone):
            training.loss()  # raises an error if it is not finite

    fitted = fit(replace(plan, validation=None), on_event)
    assert plan.validation is not None  # HELD_OUT is not 0
    logits = compute_logits(fitted.classifier, plan.validation)
    known = plan.validation.flat_labels() != IGNORED
    probabilities: Array = logits[known].double().softmax(dim=1).numpy()
    return probabilities


def _add_accuracies(candidate: Candidate, scores: Array, held_out: LabeledSequences) -> None:
    labels = held_out.flat_labels().numpy()
    labels = labels[labels != IGNORED]
    candidate.accuracies.append(float((scores.argmax(axis=1) == labels).mean()))
    if held_out.recordings is not None and held_out.target == "sequence":
        recordings = held_out.recordings.numpy()
        predicted = mean_over_recordings(scores, recordings).argmax(axis=1)
        right = predicted == labels_of_recordings(labels, recordings)
        candidate.recording_accuracies.append(float(right.mean()))
