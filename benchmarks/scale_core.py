"""What one core does in a second: networks in memory, reading, and parts of a single sequence.

python benchmarks/scale_core.py RUN INPUTS    # prints JSON, for benchmarks/scale.py
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from engine_cases import step_flops
from scale_data import CLASSES, FEATURES, write_file

from bothways import ModelConfig, SequenceClassifier, Sequences
from bothways.cli.process import keep_freed_memory
from bothways.data.readers.locations import locate
from bothways.models.loading import load
from bothways.models.manifest import Manifest
from bothways.models.pieces import read_pieces
from bothways.models.scoring import plan_parts, score_part
from bothways.models.trained import trained_model

TIMES = (28, 100, 1000)
STEPS = 100_000
REPEATS = 3
LAYERS = (
    ("forward LSTM 1x32", {"cell": "lstm", "hidden_size": 32, "bidirectional": False}),
    ("bidirectional GRU 2x64", {"cell": "gru", "hidden_size": 64, "num_layers": 2}),
    ("bidirectional LSTM 2x64", {"cell": "lstm", "hidden_size": 64, "num_layers": 2}),
    ("bidirectional LSTM 2x256", {"cell": "lstm", "hidden_size": 256, "num_layers": 2}),
)


def measure_shapes() -> list[dict[str, Any]]:
    """Return the seconds of predictions for sequences in memory."""
    found = []
    generator = np.random.default_rng(0)
    for name, settings in LAYERS:
        config = ModelConfig.model_validate(
            {"input_size": FEATURES, "num_classes": CLASSES, **settings}
        )
        classes = tuple(f"class {n}" for n in range(CLASSES))
        torch.manual_seed(0)
        model = trained_model(
            SequenceClassifier(config).eval(), Manifest(model=config, classes=classes)
        )
        directions = 2 if config.bidirectional else 1
        sizes = FEATURES, config.hidden_size, config.num_layers, directions
        for steps in TIMES:
            shape = (STEPS // steps, steps, FEATURES)
            drawn = generator.standard_normal(shape, dtype=np.float32)
            sequences = Sequences.from_arrays(list(drawn))
            model.predict_proba(sequences.subset(torch.arange(4)))  # compiles what it needs
            seconds = _repeated(partial(model.predict_proba, sequences))
            found.append(
                {
                    "layers": name,
                    "steps": steps,
                    "sequences": len(drawn),
                    "flops": steps * sum(step_flops(config.cell.upper(), *sizes)),
                    "seconds": seconds,
                }
            )
    return found


def measure_reading(run: Path, inputs: Path) -> dict[str, Any]:
    """Return the seconds in which the sequences of all files are read, without predictions."""
    manifest = load(run).manifest
    options = manifest.preprocessing.reading.for_use()

    def read() -> int:
        location = locate(str(inputs / "*.parquet"), options.sequence)
        pieces = read_pieces(location, manifest.model.input_size, options).pieces
        return sum(int(piece.sequences.lengths.sum()) for piece in pieces)

    return {"steps": read(), "seconds": _repeated(read)}


def measure_part(run: Path) -> list[float]:
    """Return the seconds of a file with a single sequence: what each part costs at least."""
    model = load(run)
    with tempfile.TemporaryDirectory() as folder:
        write_file(Path(folder) / "in.parquet", steps=5, seed=0)
        (part,) = plan_parts(run, [f"{folder}/in.parquet"], Path(folder), print)
        score_part(model, part)
        return _repeated(lambda: score_part(model, part))


def _repeated(run: Callable[[], object]) -> list[float]:
    """Return the seconds of some calls."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return seconds


def main() -> None:
    run, inputs = map(Path, sys.argv[1:])
    keep_freed_memory()
    torch.set_num_threads(1)
    found = {
        "shapes": measure_shapes(),
        "reading": measure_reading(run, inputs),
        "part_seconds": measure_part(run),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
