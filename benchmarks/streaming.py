"""Benchmark the latency of a step of `model.stream()` against a loop of torch.nn with its states.

    python benchmarks/streaming.py                 # 2,000 pushes in a round
    python benchmarks/streaming.py --pushes 50     # a first impression, which is not recorded
    python benchmarks/streaming.py --page          # only write the table again

The parity gate comes first: both sides must give the same probabilities for the same steps. Then
each side runs in a process of its own on one core, alternating A B A B. The other side is what a
careful script does: `torch.nn.LSTM` with the states of each sequence in a dict, or, if all
sequences have a step at the same time, in one batch. It validates nothing. The record is written to
benchmarks/records/, the table to docs/guides/stream.md. Close other programs first.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from machine import describe_machine
from page_tables import fill
from torch import nn

from bothways import ModelConfig, SequenceClassifier
from bothways.models.manifest import Manifest
from bothways.models.streaming import Stream
from bothways.models.trained import trained_model

HERE = Path(__file__).parent
RECORD = HERE / "records" / "streaming.json"
PAGE = HERE.parent / "docs" / "guides" / "stream.md"
SIDES = ("bothways", "plain")
ROUNDS = 5
PUSHES = 2000
WARM_UP = 50
CLASSES = ("a", "b", "c", "d", "e")
CONFIG = ModelConfig(input_size=8, num_classes=5, hidden_size=64, bidirectional=False)
TOLERANCE = 2e-6  # guarantee 1: float32 sums in another order
Floats = np.ndarray[Any, np.dtype[Any]]
Push = Callable[[Floats, list[int]], Floats]


class Case(NamedTuple):
    """How many sequences are open, and how many of them have a step in a push."""

    open: int
    together: int


CASES = (Case(1, 1), Case(1000, 1), Case(1000, 1000))


def make_classifier() -> SequenceClassifier:
    torch.manual_seed(0)
    return SequenceClassifier(CONFIG).eval()


def bothways_push() -> Push:
    """Return a function of steps (count, features) and keys that returns probabilities."""
    model = trained_model(make_classifier(), Manifest(model=CONFIG, classes=CLASSES))
    stream: Stream = model.stream()

    def push(steps: Floats, keys: list[int]) -> Floats:
        found = stream.push(dict(zip(keys, steps[:, None], strict=True)))
        return np.concatenate(list(found.values()))

    return push


def plain_push() -> Push:
    """Return the same function for torch.nn; sequences that come together always do."""
    trained = make_classifier()
    lstm = nn.LSTM(CONFIG.input_size, CONFIG.hidden_size, batch_first=True).eval()
    linear = nn.Linear(CONFIG.hidden_size, CONFIG.num_classes)
    lstm.load_state_dict(trained.layers.state_dict())
    linear.load_state_dict(trained.linear.state_dict())
    states: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    @torch.inference_mode()
    def push(steps: Floats, keys: list[int]) -> Floats:
        first = keys[0]  # of a sequence or, if all have a step, of the batch
        outputs, states[first] = lstm(torch.from_numpy(steps)[:, None], states.get(first))
        probabilities: Floats = linear(outputs[:, -1]).softmax(dim=-1).numpy()
        return probabilities

    return push


def push_of(side: str) -> Push:
    return bothways_push() if side == "bothways" else plain_push()


def turns(case: Case, pushes: int) -> list[list[int]]:
    """Return the keys of each push."""
    if case.together > 1:
        return [list(range(case.open))] * pushes
    return [[n % case.open] for n in range(pushes)]


def steps_for(keys: list[int], generator: np.random.Generator) -> Floats:
    return generator.normal(size=(len(keys), CONFIG.input_size)).astype(np.float32)


def check_parity() -> None:
    """Raise an error unless both sides give the same probabilities."""
    for case in CASES:
        generator = np.random.default_rng(0)
        one, other = (push_of(side) for side in SIDES)
        for keys in turns(case._replace(open=min(case.open, max(50, case.together))), 150):
            steps = steps_for(keys, generator)
            if np.abs(one(steps, keys) - other(steps, keys)).max() > TOLERANCE:
                raise SystemExit(f"the sides differ for {case}")


def measure_one(side: str, case: Case, pushes: int) -> list[int]:
    """Return the latency of each push in microseconds, on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    push, generator = push_of(side), np.random.default_rng(0)
    for key in range(case.open):  # all sequences are open
        if case.together == 1:
            push(steps_for([key], generator), [key])
    gc.collect()
    gc.disable()
    latencies = []
    for n, keys in enumerate(turns(case, WARM_UP + pushes)):
        steps = steps_for(keys, generator)
        begin = time.perf_counter_ns()
        push(steps, keys)
        if n >= WARM_UP:
            latencies.append((time.perf_counter_ns() - begin) // 1000)
    return latencies


def measure(pushes: int) -> dict[str, Any]:
    check_parity()
    samples: list[dict[str, Any]] = [
        {"open": case.open, "together": case.together, **{side: [] for side in SIDES}}
        for case in CASES
    ]
    for _ in range(ROUNDS):
        for number, case in enumerate(CASES):
            for side in SIDES:
                count = max(1, pushes // 10) if case.together > 1 else pushes
                found = _measure_in_child(side, number, count)
                samples[number][side].append(found)
                print(case, side, *np.percentile(found, [50, 99]), flush=True)
    return {"machine": describe_machine(), "microseconds": samples}


def _measure_in_child(side: str, case: int, pushes: int) -> Any:
    command = [sys.executable, __file__, "--measure", side, str(case), str(pushes)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def table(record: dict[str, Any]) -> str:
    """Return the medians of the rounds' percentiles as Markdown."""
    lines = [
        f"{record['machine']['processor']}, one core. Medians of {ROUNDS} rounds.",
        "",
        "| open sequences | steps in a push | side | p50 ms | p99 ms | steps/s |",
        "|---|---|---|---|---|---|",
    ]
    for sample in record["microseconds"]:
        for side in SIDES:
            found = np.array([np.percentile(one, [50, 99]) for one in sample[side]])
            p50, p99 = np.median(found, axis=0) / 1000
            name = "`model.stream()`" if side == "bothways" else "torch.nn"
            rate = 1000 * sample["together"] / p50
            lines.append(
                f"| {sample['open']:,} | {sample['together']:,} | {name} | {p50:.3f} | {p99:.3f} "
                f"| {rate:,.0f} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pushes", type=int, default=PUSHES, help="of each case, in a round")
    parser.add_argument("--page", action="store_true", help="only write the table")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.measure:
        side, case, pushes = options.measure
        print(json.dumps(measure_one(side, CASES[int(case)], int(pushes))))
        return
    if not options.page:
        record = measure(options.pushes)
        if options.pushes < PUSHES:
            print(table(record))
            return
        RECORD.write_text(json.dumps(record) + "\n")
    fill(PAGE, "benchmarks/streaming.py", table(json.loads(RECORD.read_text())))


if __name__ == "__main__":
    main()
