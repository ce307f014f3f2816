"""Print a comparison of networks and baselines: first who wins, then the figures."""

from bothways.cli.tables import print_paragraph, print_table
from bothways.model_selection.compare import Candidate, Comparison
from bothways.model_selection.paired import Difference
from bothways.model_selection.selection import Selection


def print_candidates(comparison: Comparison) -> None:
    """Print who wins, the accuracies of all candidates, and how the best were measured."""
    against_baseline = comparison.recurrent_against_baseline
    directions = comparison.bidirectional_against_forward
    advice = ""
    if against_baseline.significant and against_baseline.mean < 0:
        advice = f" Use {against_baseline.second.name} for this data."
    print_paragraph(describe_difference(against_baseline, "network", "baseline") + advice)
    best = {"network": against_baseline.first, "baseline": against_baseline.second}
    if directions is not None:
        kinds = "bidirectional network", "forward network"
        print()
        print_paragraph(describe_difference(directions, *kinds))
        best |= dict(zip(kinds, (directions.first, directions.second), strict=True))
    _print_accuracies(comparison.candidates)
    _print_selections({kind: one for kind, one in best.items() if one.candidates > 1})
    for note in comparison.notes:
        print()
        print_paragraph(f"note: {note}")


def describe_difference(difference: Difference, first: str, second: str) -> str:
    """Return who is better and by how much, or that no difference can be shown.

    Parameters
    ----------
    difference : Difference
    first, second : str
        The kinds of candidates: "network", for example.

    Examples
    --------
    >>> gru = Selection("GRU", candidates=2, accuracies=[0.7, 0.8], optimism=0.0)
    >>> rocket = Selection("MiniRocket", candidates=3, accuracies=[0.9, 0.9], optimism=0.0)
    >>> found = Difference(gru, rocket, -0.15, -0.25, -0.05, 0.02)
    >>> print(describe_difference(found, "network", "baseline"))
    The best baseline (MiniRocket) is better than the best network (GRU) by 15.00 points, \
95 % interval 5.00 to 25.00, p = 0.02.
    """
    one, other = _named(difference.first, first), _named(difference.second, second)
    better, low, high = first, difference.low, difference.high
    if difference.mean < 0:
        one, other, better = other, one, second
        if low is not None and high is not None:
            low, high = -high, -low
    by = f"by {100 * abs(difference.mean):.2f} points"
    if low is not None and high is not None:
        by += f", 95 % interval {100 * low:.2f} to {100 * high:.2f}, p = {difference.p_value:.2g}"
        if not difference.significant:
            unclear = f"No difference can be shown between the {one} and the {other}"
            return f"{unclear}: the {better} is better {by}."
    elif difference.mean:
        by += " in every round; without any spread, no interval can be computed"
    else:
        return f"The {one} and the {other} are equally accurate in every round."
    return f"The {one} is better than the {other} {by}."


def _named(selection: Selection, kind: str) -> str:
    one = f"{kind} ({selection.name})"
    return f"best {one}" if selection.candidates > 1 else one


def _print_accuracies(candidates: list[Candidate]) -> None:
    columns = ["candidate", "accuracy", "deviation"]
    of_recordings = any(c.recording_accuracies for c in candidates)
    if of_recordings:
        columns[1:2] = ["of windows"]
        columns += ["of recordings", "deviation"]
    rows = []
    for c in sorted(candidates, key=lambda c: -c.mean):
        row = [c.name, f"{c.mean:.2%}", f"{c.deviation:.2%}"]
        if of_recordings:
            row += [f"{c.recording_mean:.2%}", f"{c.recording_deviation:.2%}"]
        rows.append(row)
    print_table(columns, rows)
    explanation = (
        "Accuracy on held-out training data: mean and standard deviation of "
        f"{len(candidates[0].accuracies)} rounds with different splits and seeds."
    )
    if of_recordings:
        explanation += " The accuracy of windows decides."
    print_paragraph(explanation)


def _print_selections(best: dict[str, Selection]) -> None:
    """Print the accuracies of the best candidates with and without the luck of the selection."""
    rows = []
    for kind, one in best.items():
        accuracies = f"{one.mean + one.optimism:.2%}", f"{one.mean:.2%}"
        rows.append([kind, one.name, *accuracies, f"{one.optimism:+.2%}"])
    print_table(["best", "candidate", "accuracy", "unbiased accuracy", "optimism"], rows)
    print_paragraph(
        "The best of several candidates is partly best by chance. The comparison uses its unbiased "
        "accuracy: in rounds and on sequences that did not select it."
    )
