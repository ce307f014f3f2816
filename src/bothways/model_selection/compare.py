"""Comparison of recurrent networks with simple baselines, and of directions.

In each round, all candidates are trained on the same part of the training data and evaluated on the
rest; each round has another seed and another split. The test set is not used. The best network and
the best baseline are measured in rounds and on sequences that did not select them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
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
from bothways.model_selection.paired import Difference, paired_difference
from bothways.model_selection.selection import halves_of, select
from bothways.optional import require
from bothways.recipes import Recipe, load_recipe
from bothways.training.fit import Plan, fit, prepare

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
    accuracies: list[float]
    recording_accuracies: list[float] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Mean accuracy."""
        return float(np.mean(self.accuracies))

    @property
    def deviation(self) -> float:
        """Sample standard deviation of the accuracies."""
        return float(np.std(self.accuracies, ddof=1))

    @property
    def recording_mean(self) -> float:
        """Mean accuracy on recordings."""
        return float(np.mean(self.recording_accuracies))

    @property
    def recording_deviation(self) -> float:
        """Sample standard deviation of the accuracies on recordings."""
        return float(np.std(self.recording_accuracies, ddof=1))


@dataclass(frozen=True)
class Comparison:
    """All candidates, and who wins.

    Parameters
    ----------
    candidates : list of Candidate
    recurrent_against_baseline : Difference
        Of the best network and the best baseline.
    bidirectional_against_forward : Difference, optional
        Of the best bidirectional network and the best forward network, if there are both.
    notes : list of str
        Baselines that are not available, and what to install.
    """

    candidates: list[Candidate]
    recurrent_against_baseline: Difference
    bidirectional_against_forward: Difference | None
    notes: list[str]


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
        Only its training set is used.
    recipe : str
    vary : dict, optional
        The values to try for each setting, in all combinations; default: the recipe with both
        directions and with the forward direction.
    rounds : int
        Number of splits and seeds, at least 2.
    on_round : callable
        Called after each round with its number, from 1.
    **settings
        Settings of all variants.

    Raises
    ------
    ConfigError
        If a setting does not exist, a value of `vary` occurs twice, there is one round, or
        `dataset` is split by time.
    DataError
        If too few sequences or groups can be held out.

    Examples
    --------
    >>> from bothways import open_dataset
    >>> dataset = open_dataset("gestures.csv")
    >>> found = compare(dataset, vary={"cell": ["gru", "lstm"]}, rounds=2, steps=10, hidden_size=8)
    >>> [candidate.name for candidate in found.candidates if candidate.is_recurrent]
    ['bidirectional GRU', 'bidirectional LSTM']
    """
    require("sklearn", extra="sklearn", purpose="baselines")
    from bothways.model_selection.baselines import baselines_for, one_hot

    _check(dataset, {*settings, *(vary or {})}, rounds)
    settings |= {"validation_fraction": HELD_OUT, "calibrate": False}
    base = load_recipe(recipe).for_target(dataset.target).with_settings(settings)
    variants = _variants(base, vary or {"bidirectional": [True, False]})
    plans = [_plans(dataset, variants, seed) for seed in range(rounds)]
    splits = [_split(next(iter(of_round.values()))) for of_round in plans]
    unused_seed = rounds  # the splits have the seeds below
    halves = halves_of(dataset, [held_out for _, held_out in splits], unused_seed)
    baselines, notes = baselines_for(dataset.target)
    hits: dict[str, list[Array]] = {name: [] for name in (*variants, *baselines)}
    of_recordings: dict[str, list[float]] = {name: [] for name in hits}
    for number, (train, held_out) in enumerate(splits):
        scores = {name: _scores(plan) for name, plan in plans[number].items()}
        parts = [one_hot(part, dataset.categories) for part in (train, held_out)]
        scores |= {name: baseline(*parts) for name, baseline in baselines.items()}
        for name, found in scores.items():
            hits[name].append(_hits(found, held_out))
            of_recordings[name] += _recording_accuracies(found, held_out)
        on_round(number + 1)
    ratio = float(np.mean([len(held_out) / len(train) for train, held_out in splits]))

    def difference(first: Collection[str], second: Collection[str]) -> Difference:
        one, other = (select({n: hits[n] for n in names}, halves) for names in (first, second))
        return paired_difference(one, other, ratio)

    candidates = [
        Candidate(name, name in variants, [float(hit.mean()) for hit in own], of_recordings[name])
        for name, own in hits.items()
    ]
    both_ways = [name for name, variant in variants.items() if variant.model.bidirectional]
    forward = [name for name in variants if name not in both_ways]
    return Comparison(
        candidates,
        difference(variants, baselines),
        difference(both_ways, forward) if both_ways and forward else None,
        notes,
    )


def _check(dataset: Dataset, names: Collection[str], rounds: int) -> None:
    """Check that a comparison is possible, and that the settings `names` can be chosen."""
    if dataset.in_time_order:
        raise ConfigError(
            "by_time allows only one split, but each round needs another one; expected random "
            "splits. Omit it."
        )
    if rounds < 2:
        raise ConfigError(
            f"rounds is {rounds}; expected at least 2, because candidates are selected in other "
            "rounds than they are measured in. Use more rounds."
        )
    for name in ("seed", "validation_fraction", "patience", "calibrate"):
        if name in names:
            raise ConfigError(
                f"{name} was given, but each round has its own seed and split, and networks are "
                "trained to the last epoch, without calibration; expected other settings. Omit it."
            )


def _variants(base: Recipe, vary: Mapping[str, Sequence[Any]]) -> dict[str, Recipe]:
    for name, choices in vary.items():
        for number, value in enumerate(choices):
            if value in choices[:number]:
                raise ConfigError(
                    f"{name}={value} is to be tried twice; expected each value once. Omit one."
                )
    variants = {}
    for values in product(*vary.values()):
        chosen = dict(zip(vary, values, strict=True))
        variant = base.with_settings(chosen)
        variants[_name(variant, chosen)] = variant
    return variants


def _name(variant: Recipe, chosen: Mapping[str, Any]) -> str:
    """Return the direction, the cell and the other varied settings."""
    model = variant.model
    direction = "bidirectional" if model.bidirectional else "forward"
    shown = {k: v for k, v in chosen.items() if k not in ("cell", "bidirectional")}
    more = "".join(f", {name} {value}" for name, value in shown.items())
    return f"{direction} {model.cell.upper()}{more}"


def _plans(dataset: Dataset, variants: Mapping[str, Recipe], seed: int) -> dict[str, Plan]:
    """Return the trainings of a round, all with the same split."""
    training_data = replace(dataset, validation=None, test=None)
    return {
        name: prepare(training_data, variant.with_settings({"seed": seed}))
        for name, variant in variants.items()
    }


def _split(plan: Plan) -> tuple[LabeledSequences, LabeledSequences]:
    assert plan.validation is not None  # HELD_OUT is not 0
    return plan.train, plan.validation


def _scores(plan: Plan) -> Array:
    """Train a network and return the probabilities of its last epoch on the held-out set."""
    fitted = fit(replace(plan, validation=None))
    _, held_out = _split(plan)
    logits = compute_logits(fitted.classifier, held_out)
    known = held_out.flat_labels() != IGNORED
    probabilities: Array = logits[known].double().softmax(dim=1).numpy()
    return probabilities


def _hits(scores: Array, held_out: LabeledSequences) -> Array:
    """Return whether the largest score is that of the label, bool (labels,)."""
    labels = held_out.flat_labels().numpy()
    right: Array = scores.argmax(axis=1) == labels[labels != IGNORED]
    return right


def _recording_accuracies(scores: Array, held_out: LabeledSequences) -> list[float]:
    """Return the accuracy on recordings, or nothing if the sequences are not windows."""
    if held_out.recordings is None or held_out.target == "step":
        return []
    recordings = held_out.recordings.numpy()
    predicted = mean_over_recordings(scores, recordings).argmax(axis=1)
    right = predicted == labels_of_recordings(held_out.labels.numpy(), recordings)
    return [float(right.mean())]
