"""Preprocessing as ONNX nodes."""

import numpy as np
import onnx
import onnxruntime

from bothways.export.onnx.nodes import Nodes
from bothways.export.onnx.preprocessing import _add_asinh


def test_asinh_is_accurate_for_all_float64_values():
    nodes = Nodes()
    output = _add_asinh(nodes, "values")
    types, tensor = onnx.TensorProto, onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes.nodes,
        "asinh",
        [tensor("values", types.DOUBLE, [None])],
        [tensor(output, types.FLOAT, [None])],
        nodes.constants,
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    sizes = np.r_[0.0, np.logspace(-37, 300, 2000), 1e9 * (1 + np.linspace(-1e-6, 1e-6, 99))]
    values = np.r_[-sizes, sizes]
    (found,) = session.run(None, {"values": values})
    np.testing.assert_allclose(found, np.arcsinh(values), rtol=3e-7, atol=0)
