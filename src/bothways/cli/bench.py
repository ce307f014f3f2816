"""Speed of the compiled engine on this machine, compared with torch.nn.

This is a quick measurement of one shape; `benchmarks/engine.py` in the repository measures many and
keeps records.
"""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from bothways import nn
from bothways.errors import ConfigError, counted, describe_unknown
from bothways.kernels.cells import GRU, LSTM, RNN_RELU, RNN_TANH
from bothways.kernels.compiled.cache import cached_file, entry_address
from bothways.kernels.compiled.instruction_sets import host_target

CELLS = ("rnn", "gru", "lstm")
_SECONDS = 1.0  # measured time of a process
_LEAST_STEPS = 5


@dataclass(frozen=True)
class BenchShape:
    """The layers to measure and the shape of their input.

    Parameters
    ----------
    cell : str
        rnn, gru or lstm.
    hidden_size, num_layers, batch_size, time, input_size : int
    bidirectional : bool
    last : bool
        Whether only the last output of each sequence is needed, as for readout `last`.
    precision : str
        Of `bothways.nn`, one of `bothways.kernels.PRECISIONS`.
    """

    cell: str = "lstm"
    hidden_size: int = 128
    num_layers: int = 2
    batch_size: int = 64
    time: int = 28
    input_size: int = 28
    bidirectional: bool = True
    last: bool = False
    precision: str = "float32"

    def describe(self, threads: int) -> str:
        """Return the shape in words, with the number of threads."""
        direction = "bidirectional" if self.bidirectional else "forward"
        return (
            f"{direction} {self.cell.upper()} {self.num_layers}x{self.hidden_size}, "
            f"batch {self.batch_size}, {counted(self.time, 'step')}, "
            f"{'the last output only' if self.last else 'all outputs'}, "
            f"{counted(threads, 'thread')}"
            f"{'' if self.precision == 'float32' else f', {self.precision}'}"
        )


def warm(precision: str) -> dict[str, Path]:
    """Compile or load the engine for every cell; return the paths in the cache."""
    target = host_target(precision)
    places = {}
    for cell in (LSTM, GRU, RNN_TANH, RNN_RELU):
        entry_address(cell, precision)
        places[cell.mode] = cached_file(cell, target)
    return places


def compare(
    shape: BenchShape,
    threads: int,
    rounds: int = 3,
    progress: Callable[[str], None] = lambda side: None,
) -> dict[str, dict[str, float]]:
    """Measure bothways.nn and torch.nn alternately, each in a new process.

    Parameters
    ----------
    shape : BenchShape
    threads : int
    rounds : int
        Processes per side.
    progress : callable, optional
        Called with the name of the side before it is measured.

    Returns
    -------
    dict
        Median milliseconds of `training` (forward and backward) and `inference`, for each side.

    Raises
    ------
    ConfigError
        If a size is below 1, or the cell is unknown.
    """
    for name in ("hidden_size", "num_layers", "batch_size", "time", "input_size"):
        if getattr(shape, name) < 1:
            raise ConfigError(
                f"{name} is {getattr(shape, name)}; expected at least 1. Correct the value."
            )
    if shape.cell not in CELLS:
        raise ConfigError(describe_unknown("cell", shape.cell, CELLS))
    samples: dict[str, list[tuple[float, float]]] = {"bothways.nn": [], "torch.nn": []}
    for _ in range(rounds):
        for side, times in samples.items():
            progress(side)
            # A fresh process: idle threads of one side would slow down the other.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                times.append(pool.submit(_time_side, shape, side, threads).result())
    return {
        side: {
            "training": 1000 * median(training for training, _ in times),
            "inference": 1000 * median(inference for _, inference in times),
        }
        for side, times in samples.items()
    }


def _time_side(shape: BenchShape, side: str, threads: int) -> tuple[float, float]:
    """Return the median seconds of a training step and of an inference."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    module = nn if side == "bothways.nn" else torch.nn
    options = {"precision": shape.precision} if module is nn else {}
    layers = getattr(module, shape.cell.upper())(
        shape.input_size,
        shape.hidden_size,
        shape.num_layers,
        bidirectional=shape.bidirectional,
        **options,
    )
    inputs = torch.randn(shape.time, shape.batch_size, shape.input_size)

    def run() -> torch.Tensor:
        if shape.last and module is nn:
            last: torch.Tensor = layers.last_outputs(inputs)
            return last
        outputs: torch.Tensor = layers(inputs)[0]
        return outputs[-1] if shape.last else outputs

    gradient = torch.randn_like(run())

    def train() -> None:
        layers.zero_grad()
        run().backward(gradient)

    def infer() -> None:
        with torch.inference_mode():
            run()

    return _median_seconds(train), _median_seconds(infer)


def _median_seconds(step: Callable[[], None]) -> float:
    for _ in range(3):
        step()
    samples: list[float] = []
    while sum(samples) < _SECONDS or len(samples) < _LEAST_STEPS:
        started = time.perf_counter()
        step()
        samples.append(time.perf_counter() - started)
    return median(samples)
