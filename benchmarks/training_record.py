"""The record of a training: what `bothways train` saves, its seconds, and the machine's peak."""

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from machine import describe_machine
from peak import peak_gflops

from bothways.training.history import read_history


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
            split: figures and {name: figures[name] for name in kept}
            for split, figures in metrics.items()
        },
    }
