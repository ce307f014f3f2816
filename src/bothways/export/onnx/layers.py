"""Recurrent layers as ONNX's own operators RNN, GRU and LSTM."""

from typing import Any

import torch
from torch import Tensor

from bothways.export.onnx.nodes import Nodes, require_onnx
from bothways.nn.recurrent import RecurrentLayers

_OPERATORS = {"RNN_TANH": "RNN", "RNN_RELU": "RNN", "GRU": "GRU", "LSTM": "LSTM"}
_ACTIVATIONS = {"RNN_TANH": "Tanh", "RNN_RELU": "Relu"}

_GATES = {
    "RNN": ("hidden",),
    "GRU": ("update", "reset", "new"),
    "LSTM": ("input", "output", "forget", "cell"),
}
"""The order in which ONNX stacks the gates: zrh for GRU, iofc for LSTM."""


def add_layers(nodes: Nodes, layers: RecurrentLayers, steps: str, lengths: str) -> tuple[str, str]:
    """Add the recurrent layers.

    Parameters
    ----------
    steps : str
        (batch, time, features), finite in the padding.
    lengths : str
        int64 (batch,).

    Returns
    -------
    outputs : str
        (batch, time, num_directions * hidden_size), undefined at and past the lengths.
    h_n : str
        The final states of the top layer, (num_directions, batch, hidden_size).
    """
    mode = layers.cell.mode
    directions = "bidirectional" if layers.bidirectional else "forward"
    attributes: dict[str, Any] = {"hidden_size": layers.hidden_size, "direction": directions}
    if mode in _ACTIVATIONS:
        attributes["activations"] = [_ACTIVATIONS[mode]] * layers.num_directions
    if mode == "GRU":
        attributes["linear_before_reset"] = 1  # as torch: the reset gate acts after the hidden bias
    counts = nodes.add("Cast", lengths, to=require_onnx().TensorProto.INT32)
    steps = nodes.add("Transpose", steps, perm=[1, 0, 2])  # (time, batch, features)
    joined = nodes.constant(torch.tensor([0, 0, -1]))  # 0: as it is
    h_n = ""
    for layer in range(layers.num_layers):
        outputs, h_n = nodes.add_many(
            _OPERATORS[mode],
            steps,
            *_add_weights(nodes, layers, layer),
            counts,
            outputs=[f"layers.{layer}.outputs", f"layers.{layer}.h_n"],
            **attributes,
        )
        side_by_side = nodes.add("Transpose", outputs, perm=[0, 2, 1, 3])
        steps = nodes.add("Reshape", side_by_side, joined)
    return nodes.add("Transpose", steps, perm=[1, 0, 2]), h_n


def _add_weights(nodes: Nodes, layers: RecurrentLayers, layer: int) -> list[str]:
    """Add W, R and B of one layer, with one row for each direction."""
    suffixes = [f"l{layer}", f"l{layer}_reverse"][: layers.num_directions]

    def stacked(name: str) -> Tensor:
        return torch.stack([_ordered(layers, f"{name}_{suffix}") for suffix in suffixes])

    biases = torch.cat([stacked("bias_ih"), stacked("bias_hh")], dim=1)
    values = {"W": stacked("weight_ih"), "R": stacked("weight_hh"), "B": biases}
    return [nodes.constant(value, f"layers.{layer}.{name}") for name, value in values.items()]


def _ordered(layers: RecurrentLayers, name: str) -> Tensor:
    """Return a weight or bias, which stacks the gates, with the gates in ONNX's order."""
    gates = dict(
        zip(
            layers.cell.gates,
            getattr(layers, name).detach().chunk(len(layers.cell.gates)),
            strict=True,
        )
    )
    return torch.cat([gates[gate] for gate in _GATES[_OPERATORS[layers.cell.mode]]])
