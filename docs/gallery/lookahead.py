"""Measure what a limited lookahead costs, and how much training with the same limit regains.

    python docs/gallery/lookahead.py         # writes docs/gallery/lookahead.png and lookahead.json

The networks and the data are those of make.py. For each limit, a network that was trained to read
to the end, and one that was trained with the limit, label the same test sequences with it.
"""

import json
from statistics import mean

import matplotlib.pyplot as plt
import numpy as np
from generators import DOMAINS
from make import HERE, SEEDS, TEST, TRAIN, fitted, labeled

from bothways import Dataset

LIMITS = (0, 2, 4, 8, 16, 32)
CHOSEN = ("speech", "sensor")
RECORD = HERE / "lookahead.json"


def main() -> None:
    """Measure and draw."""
    results = {domain: measure(domain) for domain in CHOSEN}
    RECORD.write_text(json.dumps(results, indent=1) + "\n")
    draw(results)


def measure(name: str) -> dict[str, dict[str, list[float]]]:
    """Return the test accuracies, one for each seed, by kind of training and limit."""
    (domain,) = (domain for domain in DOMAINS if domain.name == name)
    accuracies: dict[str, dict[str, list[float]]] = {"to the end": {}, "with the limit": {}}
    for seed in SEEDS:
        random = np.random.default_rng([seed, DOMAINS.index(domain)])
        train, test = (
            labeled([domain.generate(random) for _ in range(count)]) for count in (TRAIN, TEST)
        )
        dataset = Dataset(name, train, test, domain.classes, features=domain.features)
        whole = fitted(dataset, bidirectional=True, seed=seed)
        for limit in (*LIMITS, None):
            models = {"to the end": whole.with_lookahead(limit)}
            if limit is not None:
                models["with the limit"] = fitted(
                    dataset, bidirectional=True, seed=seed, lookahead=limit
                )
            for training, model in models.items():
                by_limit = accuracies[training].setdefault(
                    "all" if limit is None else str(limit), []
                )
                by_limit.append(model.evaluate(test).accuracy)
    return accuracies


def draw(results: dict[str, dict[str, dict[str, list[float]]]]) -> None:
    """Draw the accuracies of both trainings against the limit."""
    figure, panels = plt.subplots(1, len(results), figsize=(8, 3), layout="constrained")
    for axes, (name, trainings) in zip(panels, results.items(), strict=True):
        for training, by_limit in trainings.items():
            limits = [limit for limit in by_limit if limit != "all"]
            means = [100 * mean(by_limit[limit]) for limit in limits]
            axes.plot(range(len(limits)), means, marker="o", label=f"trained {training}")
        whole = 100 * mean(trainings["to the end"]["all"])
        axes.axhline(whole, color="#888", linestyle="--", linewidth=1, label="no limit")
        axes.set_xticks(range(len(limits)), limits)
        axes.set(title=name, xlabel="lookahead, time steps")
    panels[0].set_ylabel("correct steps, %")
    panels[-1].legend(frameon=False, fontsize=8)
    figure.savefig(HERE / "lookahead.png", dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
