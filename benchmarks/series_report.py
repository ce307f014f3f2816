"""The tables of `series_search.py`: variants and datasets, with standard errors over the rounds."""

import math
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any, TypeAlias

Record: TypeAlias = Mapping[str, Any]
Cells: TypeAlias = dict[tuple[str, str], dict[int, Record]]
"""By variant and dataset: the record of each round."""


def report(records: Sequence[Record], variants: Sequence[str], datasets: Sequence[str]) -> str:
    """Return two Markdown tables: accuracies, and the variants over all datasets.

    Parameters
    ----------
    records : list of dict
        The oldest first. Of several records of one job, the newest counts. Records of data that
        have changed since are left out.
    variants, datasets : list of str
        Those to show; the others are compared with the first variant.
    """
    finished = [record for record in records if "error" not in record]
    newest = {(r["data"], r["round"]): r["data_sha256"] for r in finished}
    cells: Cells = {}
    for r in finished:
        if r["variant"] in variants and r["data_sha256"] == newest[r["data"], r["round"]]:
            cells.setdefault((r["variant"], r["data"]), {})[r["round"]] = r
    shown = [name for name in datasets if any((variant, name) in cells for variant in variants)]
    jobs = {(r["variant"], r["data"], r["round"]) for r in records if "error" in r}
    failed = [v for v, data, number in jobs if number not in cells.get((v, data), {})]
    lines = [
        "Accuracy %, mean ± standard error over the rounds. Best: of the classifier that knows "
        "the generator, on the same sequences.",
        "",
        f"| data | best | {' | '.join(variants)} |",
        "|---|---|" + "---|" * len(variants),
        *(_accuracies(cells, variants, name) for name in shown),
        "",
        "Over the datasets that a variant has records of. Loss: accuracy % below the best possible "
        "or, for data from the archive, below the best variant. Difference: accuracy % minus that "
        f"of `{variants[0]}` in the same rounds. Standard errors are those of the rounds; the "
        "datasets are fixed.",
        "",
        "| variant | datasets | loss | difference | mean rank | log loss | s per job | failed |",
        "|---|---|---|---|---|---|---|---|",
        *(_summary(cells, variant, variants, shown, failed.count(variant)) for variant in variants),
    ]
    return "\n".join(lines)


def _accuracies(cells: Cells, variants: Sequence[str], name: str) -> str:
    row = [list(cells.get((variant, name), {}).values()) for variant in variants]
    best = [r["best_accuracy"] for rounds in row for r in rounds]
    known = f"{100 * mean(best):.1f}" if best[0] is not None else "-"
    shown = [_with_error([[100 * r["accuracy"] for r in rounds]], 1) for rounds in row]
    return f"| {name} | {known} | {' | '.join(shown)} |"


def _summary(
    cells: Cells, variant: str, variants: Sequence[str], datasets: Sequence[str], failures: int
) -> str:
    own = [name for name in datasets if (variant, name) in cells]
    if not own:
        return f"| {variant} | 0 | - | - | - | - | - | {failures} |"
    losses, differences, ranks = [], [], []
    for name in own:
        rounds, first = cells[variant, name], cells.get((variants[0], name), {})
        means = {v: _mean(cells[v, name], "accuracy") for v in variants if (v, name) in cells}
        highest, mine = max(means.values()), means[variant]
        losses.append([(r["best_accuracy"] or highest) - r["accuracy"] for r in rounds.values()])
        differences.append(
            [r["accuracy"] - first[n]["accuracy"] for n, r in rounds.items() if n in first]
        )
        above = sum(other > mine for other in means.values())
        equal = sum(other == mine for other in means.values())
        ranks.append(above + (equal + 1) / 2)
    figures = [
        str(len(own)),
        *(
            _with_error([[100 * value for value in group] for group in groups if group], 2)
            for groups in (losses, differences)
        ),
        f"{mean(ranks):.2f}",
        f"{mean(_mean(cells[variant, name], 'log_loss') for name in own):.3f}",
        f"{mean(_mean(cells[variant, name], 'seconds') for name in own):.0f}",
        str(failures),
    ]
    return f"| {variant} | {' | '.join(figures)} |"


def _mean(rounds: Mapping[int, Record], figure: str) -> float:
    return float(mean(r[figure] for r in rounds.values()))


def _with_error(groups: Sequence[Sequence[float]], digits: int) -> str:
    """Return the mean of the groups' means and, if each group has two values, its error."""
    if not groups or not groups[0]:
        return "-"
    middle = f"{mean(map(mean, groups)):.{digits}f}"
    if min(map(len, groups)) < 2:
        return middle
    variance = sum(stdev(group) ** 2 / len(group) for group in groups)
    return f"{middle} ± {math.sqrt(variance) / len(groups):.{digits}f}"
