"""The time of a training step in one process and in several, on this machine."""

import multiprocessing
import os
import socket
import time
from dataclasses import dataclass
from statistics import median

import torch

from bothways.cli.bench import BenchShape
from bothways.config import ModelConfig, TrainConfig
from bothways.data.sequences import LabeledSequences, Sequences
from bothways.errors import counted
from bothways.training.loop.events import StepDone
from bothways.training.loop.joining import joined_processes
from bothways.training.loop.trainer import start_training

STEPS, WARM_UP = 40, 5
"""Steps of a process, and how many of them are not measured."""


@dataclass(frozen=True)
class Division:
    """How a batch is divided.

    Parameters
    ----------
    processes, threads : int
        Threads of each process.
    """

    processes: int
    threads: int

    def __str__(self) -> str:
        return f"{counted(self.processes, 'process')} of {counted(self.threads, 'thread')}"


DIVISIONS = (Division(1, 1), Division(2, 1), Division(1, 2))


def measure_scaling(shape: BenchShape, rounds: int) -> dict[Division, float]:
    """Return the median milliseconds of a training step for each division; they take turns."""
    samples: dict[Division, list[float]] = {division: [] for division in DIVISIONS}
    for _ in range(rounds):
        for division, times in samples.items():
            times.append(_seconds(shape, division))
    return {division: 1000 * median(times) for division, times in samples.items()}


def _seconds(shape: BenchShape, division: Division) -> float:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    with context.Pool(division.processes) as pool:
        work = [(rank, port, division, shape) for rank in range(division.processes)]
        return max(pool.starmap(_time_steps, work, chunksize=1))


def _time_steps(rank: int, port: int, division: Division, shape: BenchShape) -> float:
    """Return the median seconds of a step, in process number `rank`."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(division.processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(division.threads)
    with joined_processes() as processes:
        config = TrainConfig.model_validate(
            {"batch_size": shape.batch_size, "epochs": 1, "precision": shape.precision}
        )
        training = start_training(_model(shape), config, _sequences(shape), processes=processes)
        samples, before = [], time.perf_counter()
        for event in training.events():
            if isinstance(event, StepDone):
                samples.append(time.perf_counter() - before)
            before = time.perf_counter()
        return median(samples[WARM_UP:])


def _model(shape: BenchShape) -> ModelConfig:
    return ModelConfig(
        cell=shape.cell,
        bidirectional=shape.bidirectional,
        num_layers=shape.num_layers,
        hidden_size=shape.hidden_size,
        readout="final",
        input_size=shape.input_size,
        num_classes=2,
    )


def _sequences(shape: BenchShape) -> LabeledSequences:
    count = STEPS * shape.batch_size
    inputs = torch.randn(count, shape.time, shape.input_size)
    return Sequences.from_padded(inputs, labels=[n % 2 for n in range(count)])
