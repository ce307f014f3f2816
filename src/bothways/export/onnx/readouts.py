"""Readouts as ONNX nodes, see `bothways.nn.pooling`.

Shapes: `outputs` (batch, time, output_size), zero in the padding; `h_n` (num_directions, batch,
hidden_size).
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from bothways.export.onnx.nodes import Nodes, Rows, require_onnx
from bothways.nn.pooling import Attention, Combined, Flatten


def add_readout(nodes: Nodes, readout: nn.Module, outputs: str, h_n: str, rows: Rows) -> str:
    """Add a readout; return features (batch, features), or (batch, time, features) for `Step`."""
    if isinstance(readout, Combined):
        parts = [add_readout(nodes, part, outputs, h_n, rows) for part in readout.poolings]
        return nodes.add("Concat", *parts, axis=1)
    return _READOUTS[type(readout).__name__](nodes, readout, outputs, h_n, rows)


def add_checked_lengths(nodes: Nodes, lengths: str, longest: int) -> str:
    """Add nodes that return `lengths` and fail if one of them exceeds `longest`.

    ONNX has no assertion. A number is looked up in the list of all allowed numbers instead.
    """
    return nodes.add("Gather", nodes.constant(torch.arange(longest + 1)), lengths, axis=0)


def _last(nodes: Nodes, readout: nn.Module, outputs: str, h_n: str, rows: Rows) -> str:
    last = nodes.add("Sub", rows.lengths, nodes.integers(1))
    index = nodes.add("Unsqueeze", last, nodes.integers(1))  # (batch, 1)
    return nodes.add("GatherND", outputs, index, batch_dims=1)


def _final(nodes: Nodes, readout: nn.Module, outputs: str, h_n: str, rows: Rows) -> str:
    by_row = nodes.add("Transpose", h_n, perm=[1, 0, 2])
    return nodes.add("Reshape", by_row, nodes.integers(0, -1))


def _flatten(nodes: Nodes, readout: nn.Module, outputs: str, h_n: str, rows: Rows) -> str:
    """Add zeros up to `sequence_length`, and drop steps past it: they are padding."""
    assert isinstance(readout, Flatten)
    longest = readout.sequence_length
    padded = nodes.add("Pad", outputs, nodes.integers(0, 0, 0, 0, longest, 0))
    bounds = (nodes.integers(n) for n in (0, longest, 1))
    cut = nodes.add("Slice", padded, *bounds)
    return nodes.add("Reshape", cut, nodes.integers(-1, readout.features_size))


def _mean(nodes: Nodes, readout: nn.Module, outputs: str, h_n: str, rows: Rows) -> str:
    total = nodes.add("ReduceSum", outputs, nodes.integers(1), keepdims=0)
    counts = nodes.add("Cast", rows.lengths, to=require_onnx().TensorProto.FLOAT)
    return nodes.add("Div", total, nodes.add("Unsqueeze", counts, nodes.integers(1)))


def _max(nodes: Nodes, readout: nn.Module, outputs: str, h_n: str, rows: Rows) -> str:
    masked = rows.masked(nodes, outputs, feature_axis=2, padding=-np.inf)
    return nodes.add("ReduceMax", masked, axes=[1], keepdims=0)


def _attention(nodes: Nodes, readout: nn.Module, outputs: str, h_n: str, rows: Rows) -> str:
    assert isinstance(readout, Attention)
    project, context = readout.project, readout.context
    projected = nodes.linear(outputs, project.weight, project.bias, "readout.project")
    squashed = nodes.add("Tanh", projected)
    scores = nodes.linear(squashed, context.weight, None, "readout.context")  # (batch, time, 1)
    masked = rows.masked(nodes, scores, feature_axis=2, padding=-np.inf)
    weights = nodes.add("Softmax", masked, axis=1)
    weighted = nodes.add("Mul", weights, outputs)
    return nodes.add("ReduceSum", weighted, nodes.integers(1), keepdims=0)


def _step(nodes: Nodes, readout: nn.Module, outputs: str, h_n: str, rows: Rows) -> str:
    return outputs


_READOUTS: dict[str, Callable[[Nodes, nn.Module, str, str, Rows], str]] = {
    "Last": _last,
    "Final": _final,
    "Flatten": _flatten,
    "Mean": _mean,
    "Max": _max,
    "Attention": _attention,
    "Step": _step,
}
