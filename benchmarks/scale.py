"""Benchmark predictions for Parquet files against a loop of pandas and torch.nn with one model.

    python benchmarks/scale.py                              # 10 million time steps
    python benchmarks/scale.py --steps 200000 --rounds 1    # a first impression, not recorded
    python benchmarks/scale.py --page                       # only write the tables again

The parity gate comes first: all sides must give the same labels and probabilities for some of the
files. Then each side predicts all files in processes of its own, and the sides alternate. What one
core does is measured by `scale_core.py`. The record is written to benchmarks/records/, the tables
to docs/scale.md. Run `cluster_simulation.py` afterwards. Close other programs first.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import scale_page
from machine import describe_machine
from peak import peak_gflops
from process_memory import Measured, measure_command
from scale_data import write_file, write_files

HERE = Path(__file__).parent
STEPS = 10_000_000
FILES = 20
ROUNDS = 3
GATE_FILES = 2
TOLERANCE = 1e-5
TRAINING_STEPS = 200_000
TRAINING_SEED = 1000
MODEL = {
    "cell": "lstm",
    "hidden_size": 64,
    "num_layers": 2,
    "bidirectional": "true",
    "readout": "final",
    "normalization": "none",
    "stem_channels": "null",
    "steps": 60,
}
ENVIRONMENT = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
BOTHWAYS = [sys.executable, "-m", "bothways"]


@dataclass(frozen=True)
class Inputs:
    """The model and the files.

    Parameters
    ----------
    run, files : Path
        Folders.
    """

    run: Path
    files: Path

    def command(self, side: str, out: Path) -> list[str]:
        """Return the command of a side, which writes a file or a folder of predictions."""
        if side.startswith("plain"):
            threads = side.removeprefix("plain")
            script = [sys.executable, str(HERE / "scale_plain.py")]
            return [*script, str(self.run), str(self.files), str(out), threads]
        predict = [*BOTHWAYS, "predict", str(self.run), f"{self.files}/*.parquet", "--out"]
        options = {
            "one": [f"{out}.csv", "--threads", "1"],
            "workers": [str(out), "--workers", "2"],
            "ray": [str(out), "--workers", "2", "--engine", "ray"],
        }
        return predict + options[side]


def train(folder: Path) -> Path:
    """Train a small model, and return its run."""
    data, run = folder / "train.parquet", folder / "run"
    write_file(data, TRAINING_STEPS, TRAINING_SEED)
    settings = [word for name, value in MODEL.items() for word in ("--set", f"{name}={value}")]
    command = [*BOTHWAYS, "train", str(data), *settings, "--out", str(run), "--no-report"]
    subprocess.run(command, check=True, capture_output=True)
    return run


def predictions(out: Path) -> pd.DataFrame:
    """Return the label and the probabilities of each sequence, in the order of their names."""
    if out.is_dir():
        table = pd.concat(pd.read_parquet(path) for path in out.glob("*.parquet"))
    else:
        table = pd.read_csv(f"{out}.csv", dtype={"sequence": str})
    table = table.drop(columns="file", errors="ignore")
    return table.set_index("sequence").sort_index()


def check_parity(inputs: Inputs, folder: Path) -> None:
    """Raise SystemExit unless all sides give the same answers for some of the files."""
    files = folder / "gate"
    files.mkdir()
    for path in sorted(inputs.files.iterdir())[:GATE_FILES]:
        shutil.copy(path, files)
    some, expected = Inputs(inputs.run, files), None
    for side in scale_page.SIDES:
        out = folder / f"gate-{side}"
        measure_command(some.command(side, out), ENVIRONMENT)
        found = predictions(out)
        expected = found if expected is None else expected
        pd.testing.assert_frame_equal(found, expected, check_dtype=False, atol=TOLERANCE, rtol=0)


def measure_side(inputs: Inputs, side: str, folder: Path) -> Measured:
    with tempfile.TemporaryDirectory(dir=folder) as out:
        return measure_command(inputs.command(side, Path(out) / side), ENVIRONMENT)


def measure(steps: int, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = Inputs(train(folder), folder / "in")
        sequences = write_files(inputs.files, steps, FILES)
        size = sum(path.stat().st_size for path in inputs.files.iterdir())
        check_parity(inputs, folder)
        samples: dict[str, list[dict[str, Any]]] = {side: [] for side in scale_page.SIDES}
        for _ in range(rounds):
            for side, found in samples.items():
                found.append(measure_side(inputs, side, folder)._asdict())
                print(side, found[-1], flush=True)
        core = [sys.executable, str(HERE / "scale_core.py"), str(inputs.run), str(inputs.files)]
        printed = subprocess.run(core, check=True, stdout=subprocess.PIPE).stdout
    return {
        "machine": describe_machine(),
        "peak_gflops": peak_gflops(1),
        "input": {"steps": steps, "sequences": sequences, "files": FILES, "size_bytes": size},
        "samples": samples,
        "core": json.loads(printed),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=STEPS, help="time steps in all files")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="samples of each side")
    parser.add_argument("--page", action="store_true", help="only write the tables")
    options = parser.parse_args()
    if not options.page:
        record = measure(options.steps, options.rounds)
        if options.steps < STEPS:
            print("\n\n".join(scale_page.tables(record).values()))
            return
        scale_page.RECORD.write_text(json.dumps(record, indent=1) + "\n")
    scale_page.write_page()


if __name__ == "__main__":
    main()
