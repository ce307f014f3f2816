"""Records of trainings: what `bothways train` saves, its seconds, and the machine's peak."""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from machine import describe_machine
from peak import peak_gflops

from bothways.training.history import read_history


def write_records(
    folder: Path,
    name: str,
    seeds: Iterable[int],
    measure: Callable[[int], dict[str, Any]],
    *,
    fresh: bool,
) -> None:
    """Write the records of the seeds to `folder`; existing ones remain unless `fresh` is set.

    Parameters
    ----------
    folder : Path
    name : str
        The files are named `name-seedN.json`.
    seeds : iterable of int
    measure : callable
        Trains with a seed and returns the record.
    fresh : bool
    """
    for seed in seeds:
        path = folder / f"{name}-seed{seed}.json"
        if fresh or not path.exists():
            print(f"{name}, seed {seed}", flush=True)
            path.write_text(json.dumps(measure(seed), indent=1) + "\n")


def training_record(command: Sequence[str]) -> dict[str, Any]:
    """Train in a separate process and return the record.

    Parameters
    ----------
    command : list of str
        Trains into the run folder that `--out`, which is appended, names.
    """
    kept = ("accuracy", "correct", "count", "log_loss", "expected_calibration_error")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        peak = peak_gflops(torch.get_num_threads())
        started = time.perf_counter()
        subprocess.run([*command, "--out", str(run)], check=True, stdout=subprocess.DEVNULL)
        wall_seconds = time.perf_counter() - started
        metrics = json.loads((run / "metrics.json").read_text())
        epochs = [line for line in read_history(run / "history.jsonl") if line["kind"] == "epoch"]
    return {
        "machine": describe_machine(),
        "peak_gflops": peak,
        "wall_seconds": wall_seconds,
        "epochs": epochs,
        "metrics": {
            split: None if figures is None else {name: figures[name] for name in kept}
            for split, figures in metrics.items()
        },
    }
