"""The nodes and constants of an ONNX graph, collected while it is built."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from bothways.optional import require

Array = np.ndarray[Any, np.dtype[Any]]


def require_onnx(module: str = "onnx") -> Any:
    """Import and return a module of the package onnx.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    return require(module, extra="export", purpose="ONNX files")


class Nodes:
    """The nodes and constants of a graph.

    Values are known by their names, as in ONNX.

    Attributes
    ----------
    nodes : list of NodeProto
    constants : list of TensorProto
    """

    def __init__(self) -> None:
        self._onnx = require_onnx()
        self._prefix = ""
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def within(self, prefix: str) -> "Nodes":
        """Return the same graph; names that are given to it begin with `prefix`."""
        found = copy.copy(self)
        found._prefix = prefix
        return found

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output, and return the name of the output."""
        (found,) = self.add_many(operator, *inputs, outputs=[output or self._name()], **attributes)
        return found

    def add_many(
        self, operator: str, *inputs: str, outputs: Sequence[str], **attributes: Any
    ) -> list[str]:
        """Add a node, and return the names of its outputs."""
        name = f"{operator}_{len(self.nodes)}"
        outputs = [f"{self._prefix}{output}" for output in outputs]
        make_node = self._onnx.helper.make_node
        self.nodes.append(make_node(operator, inputs, outputs, name=name, **attributes))
        return outputs

    def constant(self, values: Array | Tensor, name: str | None = None) -> str:
        """Add a constant, and return its name."""
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        name = f"{self._prefix}{name or f'constant_{len(self.constants)}'}"
        from_array = self._onnx.numpy_helper.from_array
        self.constants.append(from_array(np.asarray(array, order="C"), name))
        return name

    def integers(self, *values: int) -> str:
        """Add an int64 constant (len(values),), and return its name."""
        return self.constant(np.array(values, np.int64))

    def number(self, value: float) -> str:
        """Add a float32 scalar, and return its name."""
        return self.constant(np.array(value, np.float32))

    def linear(self, inputs: str, weight: Tensor, bias: Tensor | None, name: str) -> str:
        """Add a linear layer with `weight` (size, features) for `inputs` (…, features)."""
        product = self.add("MatMul", inputs, self.constant(weight.T, f"{name}.weight"))
        if bias is None:
            return product
        return self.add("Add", product, self.constant(bias, f"{name}.bias"))

    def _name(self) -> str:
        return f"value_{len(self.nodes)}"


@dataclass(frozen=True)
class Rows:
    """The names of the lengths of a batch, and of its mask.

    Parameters
    ----------
    lengths : str
        int64 (batch,).
    valid : str
        bool (batch, time): True for time steps before a row's length.
    """

    lengths: str
    valid: str

    @classmethod
    def of(cls, nodes: Nodes, lengths: str, steps: str, time_axis: int) -> "Rows":
        """Add the mask for `steps`, whose time axis is `time_axis`."""
        time = nodes.add("Shape", steps, start=time_axis, end=time_axis + 1)
        zero, one = (nodes.constant(np.array(n, np.int64)) for n in (0, 1))
        count = nodes.add("Squeeze", time, nodes.integers(0))
        positions = nodes.add("Range", zero, count, one)  # (time,)
        ends = nodes.add("Unsqueeze", lengths, nodes.integers(1))  # (batch, 1)
        return cls(lengths, nodes.add("Less", positions, ends))

    def masked(self, nodes: Nodes, steps: str, feature_axis: int, padding: float = 0.0) -> str:
        """Add `steps` (batch, time, features) or (batch, features, time) with constant padding.

        The padding may have any value, including NaN.
        """
        valid = nodes.add("Unsqueeze", self.valid, nodes.integers(feature_axis))
        return nodes.add("Where", valid, steps, nodes.number(padding))
