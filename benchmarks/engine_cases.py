"""The named shapes of the engine benchmark: weights, data, FLOPs and targets."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
NUM_CLASSES = 10
STEP_TARGET = round(1 / 1.15, 2)
"""The layers' own time over that of a whole step of a small network; 1 / 1.15 is the target."""


def step_flops(
    kind: str, input_size: int, hidden_size: int, num_layers: int, num_directions: int
) -> list[int]:
    """Return the FLOPs of the matrix products of each layer for one time step of a sequence."""
    sizes = [input_size] + [num_directions * hidden_size] * (num_layers - 1)
    gates = num_directions * GATES[kind] * hidden_size
    return [2 * gates * (size + hidden_size) for size in sizes]


@dataclass(frozen=True)
class Case:
    """One shape, and its target speedup over `torch.nn`.

    Parameters
    ----------
    kind : str
        Class of the layers in `torch.nn`.
    target : float, optional
        Target speedup of the forward and backward pass of the layers.
    infer_target : float
        Target speedup of inference.
    peak_shares : tuple of float or None
        Target shares of the peak in training and inference.
    readout : all, last or (for a whole training step) flatten
        Which outputs are needed.
    shortest : int, optional
        If set, rows are ragged, with log-uniform lengths from `shortest` to `time`.
    step : flatten or last, optional
        If set, the whole training step is measured too, with this readout.
    bfloat16 : bool
        Whether precision bfloat16 is measured too, against our float32.
    alone : bool
        Whether the latency of a single sequence and training with AVX2 are measured too.
    answer : bool
        Whether only the answer of a model to a single sequence is measured.
    """

    name: str
    kind: str
    hidden_size: int
    batch_size: int
    target: float | None = None
    aim: float | None = None
    bidirectional: bool = True
    num_layers: int = 2
    time: int = 28
    input_size: int = 28
    readout: str = "all"
    shortest: int | None = None
    step: str | None = None
    step_target: float | None = None
    bfloat16: bool = False
    alone: bool = False
    answer: bool = False
    infer_target: float = 1.15
    peak_shares: tuple[float | None, float | None] = (None, None)

    @property
    def title(self) -> str:
        """The title of the shape."""
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
        """The kinds of work that are measured for this shape."""
        if self.answer:
            return ["answer"]
        avx2, latency = ["train-avx2"] * self.alone, ["latency"] * self.alone
        bfloat16 = ["train-bfloat16", "infer-bfloat16"] * self.bfloat16
        step = ["step"] * bool(self.step)
        return ["train", *avx2, "infer", *bfloat16, *step, *latency, "memory"]

    @property
    def num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    def shape(self, work: str) -> "Case":
        """Return the shape for `work`; the step has another readout, latency a single row."""
        if work == "step" and self.step is not None:
            return replace(self, readout=self.step)
        if work == "answer":
            return replace(self, batch_size=1, readout="flatten")
        return replace(self, batch_size=1, readout="last") if work == "latency" else self

    @cached_property
    def lengths(self) -> Array:
        """Number of steps of each row, int64 (batch,)."""
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
        """Return the gradient of the outputs, float32, with their shape."""
        width = self.num_directions * self.hidden_size
        steps = () if self.readout == "last" else (self.lengths.max(),)
        shape = (*steps, self.batch_size, width)
        return np.random.default_rng(2).standard_normal(shape, dtype=np.float32)

    def weights(self) -> dict[str, Array]:
        """Return weights with the names, shapes and distribution of `torch.nn`."""
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
        """Return the target speedups of `work` over the other sides."""
        if work == "train":
            return {} if self.target is None else {"torch": self.target}
        if work == "step":
            of_layers = {"layers": STEP_TARGET} if self.hidden_size <= 16 else {}
            return of_layers | ({} if self.step_target is None else {"torch": self.step_target})
        if work == "infer":
            skips_steps = self.bidirectional and self.readout == "last"
            return {"torch": self.infer_target, "best runtime": 1.5 if skips_steps else 1.0}
        if work == "train-bfloat16":
            return {"bothways-float32": 1.5}
        if work == "infer-bfloat16":
            return {"bothways-float32": 1.6, "openvino-default": 1.0}
        if work == "latency":
            return {"torch": 1.0} | ({"onnxruntime": 1.0} if self.hidden_size >= 128 else {})
        return {}

    def peak_share(self, work: str) -> float | None:
        """Return the target share of the peak of `work`."""
        return dict(zip(("train", "infer"), self.peak_shares, strict=True)).get(work)

    def flops(self, work: str) -> tuple[float, float]:
        """Return the FLOPs of all matrix products, and those without unneeded steps.

        A training step counts as three forward passes. With readout `last`, the backward direction
        of the top layer needs one step per row.
        """
        row_steps = int(self.lengths.sum())
        sizes = self.input_size, self.hidden_size, self.num_layers, self.num_directions
        of_layers = step_flops(self.kind, *sizes)
        full = float(row_steps * sum(of_layers))
        skipped = 0.0
        if self.bidirectional and self.readout == "last":
            skipped = (row_steps - self.batch_size) * of_layers[-1] / self.num_directions
        passes = 1 if work in ("infer", "infer-bfloat16", "latency", "answer") else 3
        return passes * full, passes * (full - skipped)


CASES = [
    Case("bilstm-256-last", "LSTM", 256, 64, 2.6, readout="last", step="last", alone=True),
    Case("bilstm-256", "LSTM", 256, 64, 1.7, bfloat16=True),
    Case("bilstm-128-last", "LSTM", 128, 100, 2.8, readout="last", alone=True),
    Case("bilstm-128", "LSTM", 128, 100, 1.7),
    Case(
        "lstm-256", "LSTM", 256, 64, 1.15, aim=1.2, bidirectional=False, step="flatten", alone=True
    ),
    Case("bilstm-12", "LSTM", 12, 128, 9, step="flatten", step_target=4, alone=True),
    Case("bigru-256", "GRU", 256, 64, 2.8),
    Case("birnn-256", "RNN", 256, 64, 2.8),
    Case("ragged-bilstm-256", "LSTM", 256, 64, 3.6, shortest=8),
    Case("ragged-bilstm-64", "LSTM", 64, 64, 15, time=1000, input_size=12, shortest=20),
    Case("ragged-bigru-40", "GRU", 40, 32, 10, time=60, input_size=9, shortest=5),
    Case("lstm-96", "LSTM", 96, 7, 2, bidirectional=False, time=50, input_size=6),
    Case("bilstm-40", "LSTM", 40, 1, answer=True),
    Case("bilstm-64", "LSTM", 64, 100, peak_shares=(0.75, 0.85)),
    Case("bilstm-64-long", "LSTM", 64, 32, time=200, peak_shares=(0.75, 0.85)),
    Case("bilstm-32", "LSTM", 32, 128, peak_shares=(0.65, 0.75)),
    Case("bigru-16", "GRU", 16, 16, time=20, step="flatten", peak_shares=(0.18, None)),
    Case("bilstm-64-one-row", "LSTM", 64, 1, time=200, peak_shares=(0.37, 0.27)),
    Case("lstm-512", "LSTM", 512, 32, bidirectional=False, time=100, alone=True, infer_target=1.0),
    Case(
        "lstm-1024",
        "LSTM",
        1024,
        32,
        bidirectional=False,
        time=50,
        infer_target=1.0,
        peak_shares=(0.9, 0.9),
    ),
]
