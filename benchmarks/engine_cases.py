"""The named shapes of the engine benchmark: their weights, data, work in FLOPs, and targets."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
NUM_CLASSES = 10


@dataclass(frozen=True)
class Case:
    """One shape, and how many times faster than `torch.nn` it is to be.

    Parameters
    ----------
    kind : str
        The layers' name in `torch.nn`.
    target : float
        Of the layers' forward and backward pass.
    readout : all, last or (of a whole step) flatten
        Which outputs are asked for.
    shortest : int, optional
        Rows are ragged, their lengths log-uniform from here to `time`.
    step : flatten or last, optional
        Readout of the whole training step, where that is measured too.
    alone : bool
        Whether the latency of one sequence alone is measured too, and training with AVX2.
    """

    name: str
    kind: str
    hidden_size: int
    batch_size: int
    target: float
    aim: float | None = None
    bidirectional: bool = True
    num_layers: int = 2
    time: int = 28
    input_size: int = 28
    readout: str = "all"
    shortest: int | None = None
    step: str | None = None
    step_target: float | None = None
    alone: bool = False

    @property
    def title(self) -> str:
        """The shape in words."""
        steps = f"T={self.time}"
        if self.shortest is not None:
            steps = f"lengths {self.shortest}..{self.time}"
        return (
            f"{'bidirectional' if self.bidirectional else 'forward'} {self.kind} "
            f"{self.num_layers}x{self.hidden_size}, batch {self.batch_size}, {steps}, "
            f"I={self.input_size}{'' if self.readout == 'all' else f', readout `{self.readout}`'}"
        )

    @property
    def works(self) -> list[str]:
        """What is measured of this shape."""
        avx2, latency = ["train-avx2"] * self.alone, ["latency"] * self.alone
        return ["train", *avx2, "infer", *["step"] * bool(self.step), *latency, "memory"]

    @property
    def num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    def shape(self, work: str) -> "Case":
        """Return what `work` is measured on: itself but for a step's readout and a single row."""
        if work == "step" and self.step is not None:
            return replace(self, readout=self.step)
        return replace(self, batch_size=1, readout="last") if work == "latency" else self

    @cached_property
    def lengths(self) -> Array:
        """Steps of each row, int64 (batch,)."""
        if self.shortest is None:
            return np.full(self.batch_size, self.time)
        low, high = np.log(self.shortest), np.log(self.time + 1)
        drawn = np.exp(np.random.default_rng(0).uniform(low, high, self.batch_size))
        return drawn.astype(np.int64)

    def inputs(self) -> Array:
        """Return a batch, float32 (longest, batch, input_size)."""
        shape = (self.lengths.max(), self.batch_size, self.input_size)
        return np.random.default_rng(1).random(shape, dtype=np.float32)

    def output_gradient(self) -> Array:
        """Return what the backward pass starts from, float32, shaped as the outputs asked for."""
        width = self.num_directions * self.hidden_size
        steps = () if self.readout == "last" else (self.lengths.max(),)
        shape = (*steps, self.batch_size, width)
        return np.random.default_rng(2).standard_normal(shape, dtype=np.float32)

    def weights(self) -> dict[str, Array]:
        """Return weights as `torch.nn` names, shapes and draws them."""
        generator = np.random.default_rng(3)
        bound, rows = self.hidden_size**-0.5, GATES[self.kind] * self.hidden_size
        weights = {}
        for layer in range(self.num_layers):
            size = self.num_directions * self.hidden_size if layer else self.input_size
            for suffix in ("", "_reverse")[: self.num_directions]:
                shapes = {"weight_ih": (rows, size), "weight_hh": (rows, self.hidden_size)}
                for name, shape in (shapes | {"bias_ih": (rows,), "bias_hh": (rows,)}).items():
                    drawn = generator.uniform(-bound, bound, shape)
                    weights[f"{name}_l{layer}{suffix}"] = drawn.astype(np.float32)
        return weights

    def targets(self, work: str) -> dict[str, float]:
        """Return how many times faster than each other side `work` is to be."""
        if work == "train":
            return {"torch": self.target}
        if work == "step" and self.step_target is not None:
            return {"torch": self.step_target}
        if work == "infer":
            skips_steps = self.bidirectional and self.readout == "last"
            return {"torch": 1.15, "best runtime": 1.5 if skips_steps else 1.0}
        if work == "latency":
            return {"torch": 1.0} | ({"onnxruntime": 1.0} if self.hidden_size >= 128 else {})
        return {}

    def flops(self, work: str) -> tuple[float, float]:
        """Return the matrix products' FLOPs in full, and without the steps nobody asked for.

        A training step counts as three forward passes. With readout `last`, the top layer's
        backward direction needs one step a row.
        """
        hidden, row_steps = self.hidden_size, int(self.lengths.sum())
        full = 0.0
        for layer in range(self.num_layers):
            size = self.num_directions * hidden if layer else self.input_size
            of_a_step = 2 * GATES[self.kind] * hidden * (size + hidden)
            full += self.num_directions * row_steps * of_a_step
        skipped = 0.0
        if self.bidirectional and self.readout == "last":
            skipped = (row_steps - self.batch_size) * of_a_step
        passes = 1 if work in ("infer", "latency") else 3
        return passes * full, passes * (full - skipped)


CASES = [
    Case("bilstm-256-last", "LSTM", 256, 64, 2.6, readout="last", step="last", alone=True),
    Case("bilstm-256", "LSTM", 256, 64, 1.7),
    Case("bilstm-128-last", "LSTM", 128, 100, 2.8, readout="last", alone=True),
    Case("bilstm-128", "LSTM", 128, 100, 1.7),
    Case(
        "lstm-256", "LSTM", 256, 64, 1.15, aim=1.2, bidirectional=False, step="flatten", alone=True
    ),
    Case("bilstm-12", "LSTM", 12, 128, 9, step="flatten", step_target=4, alone=True),
    Case("bigru-256", "GRU", 256, 64, 2.8),
    Case("birnn-256", "RNN", 256, 64, 2.8),
    Case("ragged-bilstm-256", "LSTM", 256, 64, 3.5, shortest=8),
    Case("ragged-bilstm-64", "LSTM", 64, 64, 15, time=1000, input_size=12, shortest=20),
    Case("ragged-bigru-40", "GRU", 40, 32, 10, time=60, input_size=9, shortest=5),
    Case("lstm-96", "LSTM", 96, 7, 2, bidirectional=False, time=50, input_size=6),
]
