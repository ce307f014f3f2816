"""Whether a recurrent net is worth it here, and whether reading both ways helps.

Each candidate is trained on the same parts of the training data and judged on the same rest, split
anew for each seed; the test part is not looked at. The best net and the best baseline are picked by
the same figures that the test then compares, so among many candidates its p-values are hopeful.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch

from bothways.data.dataset import Dataset, check_values
from bothways.data.sequences import IGNORED, Sequences
from bothways.data.splitting import hold_out
from bothways.errors import ConfigError
from bothways.evaluation.evaluate import compute_logits
from bothways.optional import require
from bothways.recipes import Recipe, load_recipe
from bothways.training.manifest_builder import manifest_for
from bothways.training.run_directory import Request
from bothways.training.trainer import EpochDone, start_training

HELD_OUT = 0.25
"""Part of the training data that a round judges on."""


@dataclass(frozen=True)
class Candidate:
    """Accuracies of one candidate, one a round."""

    name: str
    is_recurrent: bool
    accuracies: list[float]

    @property
    def mean(self) -> float:
        """Their mean."""
        return float(np.mean(self.accuracies))

    @property
    def deviation(self) -> float:
        """Their sample standard deviation; 0 of a single one."""
        return float(np.std(self.accuracies, ddof=1)) if len(self.accuracies) > 1 else 0.0


@dataclass(frozen=True)
class Difference:
    """A paired comparison: how much better `first` is than `second`, with its 95 % interval.

    `p_value` is two-sided; nan where the rounds have no spread to judge by.
    """

    first: str
    second: str
    mean: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """All candidates, and the two differences asked about, None where there is no such pair."""

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
    """Train variants of a recipe, and simple baselines, over several splits and seeds.

    Parameters
    ----------
    dataset : Dataset
        Its training part alone is used.
    recipe : str
    vary : dict, optional
        For each setting, the values to try; all combinations are. Where not given, the recipe as it
        is and with the other number of directions.
    rounds : int
        Each with another seed and another split.
    on_round : callable
        Told the number of each round that is done, from 1.
    **settings
        That all variants share.

    Raises
    ------
    ConfigError
        If a setting does not exist.
    """
    require("sklearn", extra="sklearn", purpose="baselines")
    from bothways.model_selection.baselines import baselines, one_hot

    if dataset.in_time_order:
        raise ConfigError(
            "by_time leaves one way to split, but each round needs another; expected splits that "
            "differ. Leave it out."
        )
    for name in ("seed", "validation_fraction"):
        if name in (vary or {}):
            raise ConfigError(f"{name} is what the rounds vary; expected others. Leave it out.")
    settings["validation_fraction"] = HELD_OUT
    base = load_recipe(recipe).with_settings(settings, dataset.target)
    variants = _variants(base, vary or {"bidirectional": [True, False]})
    missing = base.model.get("missing", "refuse") != "refuse"
    check_values(dataset, missing=missing)
    scores: dict[str, list[float]] = {}
    sizes = []
    for number in range(rounds):
        training, held_out = hold_out(replace(dataset, validation=None), HELD_OUT, number)
        assert held_out is not None  # HELD_OUT is not 0
        sizes.append(len(held_out) / len(training))
        split = replace(dataset, train=training, validation=held_out, test=None)
        found = {name: _accuracy(variant, split, number) for name, variant in variants.items()}
        sides = [one_hot(part, dataset.categories) for part in (training, held_out)]
        found |= {name: judge(*sides) for name, judge in baselines(dataset.target).items()}
        for name, accuracy in found.items():
            scores.setdefault(name, []).append(accuracy)
        on_round(number + 1)
    candidates = [Candidate(name, name in variants, found) for name, found in scores.items()]
    ratio = float(np.mean(sizes))
    nets = [candidate for candidate in candidates if candidate.is_recurrent]
    others = [candidate for candidate in candidates if not candidate.is_recurrent]
    best = max(nets, key=lambda candidate: candidate.mean)
    both = _pair_of_directions(best, nets, variants)
    return Comparison(
        candidates,
        paired_difference(best, max(others, key=lambda candidate: candidate.mean), ratio),
        None if both is None else paired_difference(*both, ratio),
    )


def paired_difference(first: Candidate, second: Candidate, ratio: float) -> Difference:
    """Compare two candidates round by round, with the corrected resampled t-test.

    Parameters
    ----------
    first, second : Candidate
    ratio : float
        Sequences judged over sequences trained on: training parts of the rounds overlap, and the
        correction makes up for it.

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
        return Difference(*names, mean, mean, mean, math.nan if mean else 1.0)
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
    """Say how a variant reads, and what else was varied."""
    model = variant.model
    reads = "both ways" if model.get("bidirectional", True) else "forward"
    shown = {k: v for k, v in chosen.items() if k not in ("cell", "bidirectional")}
    more = "".join(f", {name} {value}" for name, value in shown.items())
    return f"{model.get('cell', 'lstm').upper()} {reads}{more}"


def _pair_of_directions(
    best: Candidate, nets: list[Candidate], variants: Mapping[str, Recipe]
) -> tuple[Candidate, Candidate] | None:
    """Return the best net's variant that reads both ways and its twin that reads forward."""
    by_name = {candidate.name: candidate for candidate in nets}
    own = variants[best.name]
    twin = own.with_settings({"bidirectional": not own.model.get("bidirectional", True)})
    name = next((n for n, variant in variants.items() if variant.model == twin.model), None)
    if name is None:
        return None
    pair = best, by_name[name]
    return pair if own.model.get("bidirectional", True) else (pair[1], pair[0])


def _accuracy(variant: Recipe, split: Dataset, seed: int) -> float:
    """Train one net and return its last epoch's accuracy on the held-out part."""
    config = variant.training.model_copy(update={"seed": seed, "validation_fraction": 0.0})
    request = Request(
        source=None,
        recipe=variant.name,
        model=dict(variant.model),
        training=config,
        threads=torch.get_num_threads(),
    )
    held_out = split.validation
    assert held_out is not None  # compare has put it there
    manifest = manifest_for(request, split)
    training = start_training(manifest.model, config, split.train)
    for event in training.events():
        if isinstance(event, EpochDone):
            training.loss()  # stop at once where it is not finite
    training.model.load_state_dict(training.chosen_weights())
    return _fraction_right(training.model, held_out)


def _fraction_right(model: Any, sequences: Sequences) -> float:
    """Return the accuracy on sequences, or on their steps that have a label."""
    labels = sequences.flat_labels()
    right = compute_logits(model, sequences).argmax(dim=1) == labels
    return float(right.sum() / (labels != IGNORED).sum())
