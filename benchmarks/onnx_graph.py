"""Conversion of a benchmark case to an ONNX graph, for onnxruntime and OpenVINO."""

from importlib import import_module

import numpy as np
from engine_cases import GATES, Array, Case

# Indices of ONNX's gates in torch's order: LSTM i,o,f,c in i,f,g,o; GRU z,r,h in r,z,n.
_ORDER = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2)}


def onnx_model(case: Case) -> bytes:
    """Return a serialized ONNX model of `inputs`, and int32 `lengths` if rows are ragged.

    Its tensors are time-major. Its `outputs` are those of all steps, or of the last step if the
    case has readout `last`.
    """
    onnx = import_module("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    time, batch_size, input_size = case.inputs().shape
    width, weights = case.num_directions * case.hidden_size, case.weights()
    attributes = {
        "hidden_size": case.hidden_size,
        "direction": "bidirectional" if case.bidirectional else "forward",
        **({"linear_before_reset": 1} if case.kind == "GRU" else {}),
    }
    lengths = "" if case.shortest is None else "lengths"
    constants: dict[str, Array] = {"shape": np.array([time, batch_size, width])}
    nodes, below = [], "inputs"
    for layer in range(case.num_layers):
        suffixes = [f"_l{layer}", f"_l{layer}_reverse"][: case.num_directions]
        both_biases = [
            [_ordered(case.kind, weights[f"bias_{part}{suffix}"]) for part in ("ih", "hh")]
            for suffix in suffixes
        ]
        constants[f"B{layer}"] = np.stack([np.concatenate(pair) for pair in both_biases])
        for letter, name in (("W", "weight_ih"), ("R", "weight_hh")):
            each = [_ordered(case.kind, weights[f"{name}{suffix}"]) for suffix in suffixes]
            constants[f"{letter}{layer}"] = np.stack(each)
        of_layer = [f"{letter}{layer}" for letter in "WRB"]
        outputs = f"Y{layer}"  # (time, num_directions, batch, hidden_size)
        nodes.append(
            helper.make_node(case.kind, [below, *of_layer, lengths], [outputs], **attributes)
        )
        if case.bidirectional:
            swapped = f"swapped{layer}"
            nodes.append(helper.make_node("Transpose", [outputs], [swapped], perm=[0, 2, 1, 3]))
            outputs = swapped
        below = f"outputs{layer}"
        nodes.append(helper.make_node("Reshape", [outputs, "shape"], [below]))
    shape = [time, batch_size, width]
    if case.readout == "last":
        constants["last"] = np.array(time - 1)
        nodes.append(helper.make_node("Gather", [below, "last"], ["outputs"], axis=0))
        shape = shape[1:]
    else:
        nodes.append(helper.make_node("Identity", [below], ["outputs"]))
    given = [helper.make_tensor_value_info("inputs", float32, [time, batch_size, input_size])]
    if lengths:
        int32 = onnx.TensorProto.INT32
        given.append(helper.make_tensor_value_info(lengths, int32, [batch_size]))
    graph = helper.make_graph(
        nodes,
        case.name,
        given,
        [helper.make_tensor_value_info("outputs", float32, shape)],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def _ordered(kind: str, array: Array) -> Array:
    """Return `array`, whose first axis stacks the gates, with the gates in ONNX's order."""
    gates = np.split(array, GATES[kind])
    return np.concatenate([gates[gate] for gate in _ORDER[kind]])
