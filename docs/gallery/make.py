"""Train a forward and a bidirectional network on each domain, and draw what they answer.

    python docs/gallery/make.py              # all domains; replaces docs/gallery/*.png, results.md
    python docs/gallery/make.py speech --out figures

Each network is a GRU with 32 units per direction that labels every time step, trained on 300
sequences and tested on 100, with three seeds of data and training.
"""

import argparse
import json
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from generators import DOMAINS, Domain, Example

from bothways import Dataset, LabeledSequences, Sequences, TrainedModel, train

HERE = Path(__file__).parent
TRAIN, TEST, SEEDS = 300, 100, (0, 1, 2)
SETTINGS = {"cell": "gru", "hidden_size": 32, "num_layers": 1, "steps": 600, "epochs": None}


def main() -> None:
    """Measure, draw, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("domains", nargs="*", default=[domain.name for domain in DOMAINS])
    parser.add_argument("--out", type=Path, default=HERE, help="a folder; default: docs/gallery")
    arguments = parser.parse_args()
    chosen, out = arguments.domains, arguments.out
    out.mkdir(parents=True, exist_ok=True)
    record = out / "results.json"
    results = json.loads(record.read_text()) if record.exists() else {}
    for domain in DOMAINS:
        if domain.name in chosen:
            results[domain.name] = measure(domain, out)
            record.write_text(json.dumps(results, indent=1) + "\n")
    (out / "results.md").write_text("\n".join(table(results)) + "\n")


def measure(domain: Domain, out: Path) -> dict[str, dict[str, list[float]]]:
    """Return the test accuracies of both networks for each seed; draw the first test sequence."""
    accuracies: dict[str, dict[str, list[float]]] = {}
    for seed in SEEDS:
        random = np.random.default_rng([seed, DOMAINS.index(domain)])
        train_part, test_part = (
            [domain.generate(random) for _ in range(count)] for count in (TRAIN, TEST)
        )
        dataset = Dataset(
            domain.name,
            labeled(train_part),
            labeled(test_part),
            domain.classes,
            features=domain.features,
            vocabularies={"event": domain.events} if domain.events else {},
        )
        answers = {}
        for name in ("forward", "bidirectional"):
            model = fitted(dataset, bidirectional=name == "bidirectional", seed=seed)
            found = model.predict([steps for steps, _ in test_part])
            answers[name] = [np.array([domain.classes.index(c) for c in row]) for row in found]
            result = accuracies.setdefault(name, {"all": [], "ambiguous": []})
            hits = np.concatenate(
                [row == truth for row, (_, truth) in zip(answers[name], test_part, strict=True)]
            )
            truth = np.concatenate([labels for _, labels in test_part])
            unclear = np.isin(truth, [domain.classes.index(c) for c in domain.ambiguous])
            result["all"].append(float(hits.mean()))
            result["ambiguous"].append(float(hits[unclear].mean()))
        if seed == 0:
            draw(domain, test_part[0], {name: rows[0] for name, rows in answers.items()}, out)
    return accuracies


def labeled(examples: list[Example]) -> LabeledSequences:
    """Return sequences with labels of time steps."""
    sequences = Sequences.from_arrays([steps for steps, _ in examples])
    return sequences.with_step_labels([labels for _, labels in examples])


def fitted(dataset: Dataset, **settings: Any) -> TrainedModel:
    """Train a network and return the model."""
    with tempfile.TemporaryDirectory() as folder:
        return train(dataset, out=Path(folder) / "run", **SETTINGS, **settings).load()


def draw(domain: Domain, example: Example, answers: dict[str, np.ndarray], out: Path) -> None:
    """Draw a sequence, its labels, and the labels that both networks give, to a file in `out`."""
    steps, truth = example
    figure, rows = plt.subplots(
        4, 1, figsize=(8, 3.6), height_ratios=(4, 1, 1, 1), layout="constrained"
    )
    colors: Any = plt.get_cmap("tab10").colors
    if domain.events:
        numbers = steps[:, 0].astype(int) - 1
        rows[0].scatter(np.arange(len(numbers)), numbers, c="#444", s=14)
        rows[0].set_yticks(range(len(domain.events)), domain.events, fontsize=8)
    elif domain.name == "handwriting":
        x, y = steps.cumsum(axis=0).T
        rows[0].scatter(x, y, c=[colors[label] for label in truth], s=5)
        rows[0].set_aspect("equal")
        rows[0].set_axis_off()
    else:
        rows[0].plot(steps, linewidth=1)
        figure.legend(
            rows[0].lines, domain.features, loc="outside upper left", fontsize=8, frameon=False,
            ncols=len(domain.features),
        )  # fmt: skip
    if domain.name != "handwriting":
        rows[0].set(xlim=(-0.5, len(steps) - 0.5), xticks=[])
    bands = {"label": truth, **answers}
    for axes, (name, labels) in zip(rows[1:], bands.items(), strict=True):
        picture = np.array([colors[label] for label in labels])[None]
        axes.imshow(picture, aspect="auto", interpolation="nearest")
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        axes.set(yticks=[])
    for axes in rows[1:-1]:
        axes.set_xticks([])
    handles = [plt.Rectangle((0, 0), 1, 1, color=colors[n]) for n in range(len(domain.classes))]
    figure.legend(handles, domain.classes, loc="outside right", fontsize=8, frameon=False)
    rows[-1].set_xlabel("time step", fontsize=9)
    figure.savefig(out / f"{domain.name}.png", dpi=110)
    plt.close(figure)


def table(results: dict[str, dict[str, dict[str, list[float]]]]) -> list[str]:
    """Return the table of the page."""
    lines = [
        "| data | forward: all steps | forward: ambiguous steps | bidirectional: all steps "
        "| bidirectional: ambiguous steps |",
        "|---|---|---|---|---|",
    ]
    for name in (domain.name for domain in DOMAINS if domain.name in results):
        cells = [
            f"{100 * mean(results[name][network][part]):.1f} %"
            for network in ("forward", "bidirectional")
            for part in ("all", "ambiguous")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
