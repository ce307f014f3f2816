"""Simulate predictions for very many sequences on a cluster, part by part.

    python benchmarks/cluster_simulation.py    # writes the tables of docs/scale.md

Each core predicts one part (file) after the other. A node fails at random; the parts that its cores
were predicting wait again, and the node is replaced. Some nodes are slow. Parts have the same
number of sequences but take different times, because the lengths of sequences are skewed. The
assumptions are the defaults of `Cluster` and `Work`; the speed of a core is the one that
`benchmarks/scale.py` has measured. No part may take much longer than a node runs until it fails:
the simulation would not end, as the work would not.
"""

import heapq
from collections import deque
from dataclasses import dataclass, replace
from enum import IntEnum
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from page_tables import fill
from scale_page import PAGE, read_record, steps_per_second

PART_SEQUENCES = (50_000, 100_000, 300_000, 1_000_000, 3_000_000)
COMPARED_SEQUENCES = (100_000, 1_000_000)
SEEDS = 10
HOUR = 3600.0
NEVER = float("inf")


@dataclass(frozen=True)
class Cluster:
    """The machines.

    Parameters
    ----------
    nodes, cores : int
        Cores of each node.
    hours_between_failures : float
        Of one node, on average; the times are exponentially distributed.
    replacement_seconds : float
        From a failure until a new node, of the same speed, predicts.
    slow_fraction, slow_factor : float
        Share of the nodes that are slow, and how many times as long they take.
    core_hour_price : float
        In dollars.
    """

    nodes: int = 100
    cores: int = 16
    hours_between_failures: float = 24.0
    replacement_seconds: float = 180.0
    slow_fraction: float = 0.05
    slow_factor: float = 3.0
    core_hour_price: float = 0.04


@dataclass(frozen=True)
class Work:
    """What is predicted.

    Parameters
    ----------
    steps_per_second : float
        Of one core.
    sequences : int
    mean_steps : float
        Mean length of a sequence.
    spread : float
        Standard deviation of the logarithm of the mean lengths of parts. It does not depend on
        their size: the sequences of a part, of one day or device, have similar lengths.
    part_seconds : float
        Of each part, whatever its size: opening, writing and renaming on storage that is shared.
    longest_first : bool
        Whether the longest parts are predicted first, or all in a random order.
    """

    steps_per_second: float
    sequences: int = 10**10
    mean_steps: float = 200.0
    spread: float = 0.5
    part_seconds: float = 0.5
    longest_first: bool = False

    def seconds(self, part_sequences: int, seed: int) -> NDArray[np.float64]:
        """Return the seconds of each part on a core that is not slow, (parts,)."""
        parts = -(-self.sequences // part_sequences)
        drawn = np.random.default_rng(seed).lognormal(-(self.spread**2) / 2, self.spread, parts)
        steps = self.mean_steps * part_sequences * drawn
        seconds: NDArray[np.float64] = steps / self.steps_per_second + self.part_seconds
        return np.sort(seconds)[::-1] if self.longest_first else seconds


@dataclass(frozen=True)
class Outcome:
    """What a simulation has found.

    Parameters
    ----------
    hours : float
        Until the last part is done.
    core_hours : float
        Of all cores until then.
    useful : float
        Share of the core hours in which parts were predicted that were then complete.
    failures : int
        Of nodes.
    repeated : int
        Parts that were lost by a failure and predicted again.
    """

    hours: float
    core_hours: float
    useful: float
    failures: int
    repeated: int


class _Kind(IntEnum):
    READY = 0
    DONE = 1
    FAILURE = 2


def simulate(cluster: Cluster, seconds: NDArray[np.float64], seed: int) -> Outcome:
    """Predict all parts in their order; those that a failure has interrupted come last.

    Parameters
    ----------
    cluster : Cluster
    seconds : array (parts,)
        Of each part on a core that is not slow.
    seed : int
    """
    random = np.random.default_rng([seed, 1])
    is_slow = random.random(cluster.nodes) < cluster.slow_fraction
    factors = np.where(is_slow, cluster.slow_factor, 1.0).tolist()
    durations = seconds.tolist()
    starts = [0] * cluster.nodes  # of each node; what began before the last one is void
    running: list[set[int]] = [set() for _ in range(cluster.nodes)]
    events = [(0.0, _Kind.READY, node, 0, -1) for node in range(cluster.nodes)]
    idle: deque[tuple[int, int]] = deque()  # a node and its start, for each of its idle cores
    waiting = deque(range(len(durations)))
    unfinished = len(durations)
    now = useful = 0.0
    repeated = 0
    while unfinished:
        now, kind, node, start, part = heapq.heappop(events)
        if start != starts[node]:
            continue
        if kind == _Kind.READY:
            idle.extend([(node, start)] * cluster.cores)
            up = random.exponential(cluster.hours_between_failures * HOUR)
            heapq.heappush(events, (now + up, _Kind.FAILURE, node, start, -1))
        elif kind == _Kind.DONE:
            running[node].remove(part)
            idle.append((node, start))
            useful += durations[part] * factors[node]
            unfinished -= 1
        else:
            waiting.extend(running[node])
            repeated += len(running[node])
            running[node].clear()
            starts[node] += 1
            ready = now + cluster.replacement_seconds
            heapq.heappush(events, (ready, _Kind.READY, node, starts[node], -1))
        while waiting and idle:
            node, start = idle.popleft()
            if start == starts[node]:
                part = waiting.popleft()
                running[node].add(part)
                done = now + durations[part] * factors[node]
                heapq.heappush(events, (done, _Kind.DONE, node, start, part))
    paid = cluster.nodes * cluster.cores * now
    return Outcome(now / HOUR, paid / HOUR, useful / paid, sum(starts), repeated)


def outcomes(cluster: Cluster, work: Work, part_sequences: int) -> list[Outcome]:
    """Return the outcome for each seed."""
    return [simulate(cluster, work.seconds(part_sequences, seed), seed) for seed in range(SEEDS)]


def sizes_table(cluster: Cluster, work: Work) -> str:
    """Return a row for each size of the parts, with means over the seeds."""
    cores = cluster.nodes * cluster.cores
    core_hours = work.sequences * work.mean_steps / work.steps_per_second / HOUR
    lines = [
        f"At {work.steps_per_second:,.0f} time steps/s, all sequences take {core_hours:,.0f} core "
        f"hours: {core_hours / cores:.2f} hours of {cores:,} cores, and "
        f"${core_hours * cluster.core_hour_price:,.0f}, if no time is lost.",
        "",
        "| sequences in a part | parts | minutes for a part | hours | cost, $ | useful time "
        "| parts predicted again |",
        "|---|---|---|---|---|---|---|",
    ]
    for size in PART_SEQUENCES:
        found = outcomes(cluster, work, size)
        minutes = size * work.mean_steps / work.steps_per_second / 60
        cost = mean(one.core_hours for one in found) * cluster.core_hour_price
        lines.append(
            f"| {size:,} | {work.sequences // size:,} | {minutes:.1f} "
            f"| {mean(one.hours for one in found):.2f} | {cost:,.0f} "
            f"| {100 * mean(one.useful for one in found):.0f} % "
            f"| {mean(one.repeated for one in found):.0f} |"
        )
    return "\n".join(lines)


def effects_table(cluster: Cluster, work: Work) -> str:
    """Return the hours when one assumption is another, with means over the seeds."""
    variants: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "as above": ({}, {}),
        "no failures": ({"hours_between_failures": NEVER}, {}),
        "a failure of each node every 2 hours": ({"hours_between_failures": 2.0}, {}),
        "no slow nodes": ({"slow_fraction": 0.0}, {}),
        "parts of equal length": ({}, {"spread": 0.0}),
        "parts with twice the spread of lengths": ({}, {"spread": 2 * work.spread}),
        "longest parts first": ({}, {"longest_first": True}),
    }
    titles = (f"hours, parts of {size:,}" for size in COMPARED_SEQUENCES)
    lines = [f"| assumption | {' | '.join(titles)} |", "|---" * (1 + len(COMPARED_SEQUENCES)) + "|"]
    for name, (of_cluster, of_work) in variants.items():
        changed = replace(cluster, **of_cluster), replace(work, **of_work)
        hours = (mean(one.hours for one in outcomes(*changed, size)) for size in COMPARED_SEQUENCES)
        lines.append(f"| {name} | {' | '.join(f'{value:.2f}' for value in hours)} |")
    return "\n".join(lines)


def main() -> None:
    cluster, work = Cluster(), Work(steps_per_second(read_record()))
    fill(PAGE, "benchmarks/cluster_simulation.py: sizes", sizes_table(cluster, work))
    fill(PAGE, "benchmarks/cluster_simulation.py: effects", effects_table(cluster, work))


if __name__ == "__main__":
    main()
