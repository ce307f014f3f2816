"""Preprocessing and stem as ONNX nodes, see `bothways.nn.preprocessing` and `bothways.nn.stem`."""

import numpy as np
import torch
from torch import nn

from bothways.export.onnx.nodes import Nodes, Rows, require_onnx
from bothways.nn.normalization import LINEAR_RANGE, LOG_RATIO_LIMIT
from bothways.nn.preprocessing import CategoryEmbedding, FeatureEncoder
from bothways.nn.stem import ConvolutionalStem

_LARGE_ASINH = 1e9
"""From here on, asinh(x) and log(2 x) are equal in float64."""


def add_encoder(nodes: Nodes, encoder: FeatureEncoder, inputs: str, rows: Rows) -> str:
    """Add the imputation, the normalization and the embeddings; return the encoded features.

    `inputs` (batch, time, input_size) must not contain NaN in the padding.
    """
    encoded = []
    if encoder.numeric_features:
        numeric = inputs
        if encoder.tokens:
            numeric = nodes.add("Gather", inputs, nodes.integers(*encoder.numeric_features), axis=2)
        absent = nodes.add("IsNaN", numeric) if encoder.missing != "refuse" else None
        if encoder.normalizes_sequences:
            encoded += _add_sequence_views(nodes, encoder, numeric, absent, rows)
        else:
            encoded.append(_add_normalized(nodes, encoder, numeric, absent))
        if absent is not None and encoder.missing == "mask":
            encoded.append(nodes.add("Cast", absent, to=require_onnx().TensorProto.FLOAT))
    for feature, embedding in encoder.tokens.items():
        assert isinstance(embedding, CategoryEmbedding)
        encoded.append(_add_embedding(nodes, embedding, inputs, int(feature)))
    return nodes.add("Concat", *encoded, axis=2) if len(encoded) > 1 else encoded[0]


def _add_normalized(nodes: Nodes, encoder: FeatureEncoder, numeric: str, absent: str | None) -> str:
    """Add the imputation and the normalization by the training set."""
    center = nodes.constant(encoder.center, f"encoder.{encoder.center_name}")
    if absent is not None:
        filling = nodes.number(0.0) if encoder.missing == "zero" else center
        numeric = nodes.add("Where", absent, filling, numeric)
    if encoder.normalization == "none":
        return numeric
    deviations = nodes.add("Sub", numeric, center)
    if encoder.normalization == "robust":
        ratio = nodes.add("Div", deviations, nodes.constant(LINEAR_RANGE * encoder.scale))
        return nodes.add("Mul", nodes.add("Asinh", ratio), nodes.number(LINEAR_RANGE))
    return nodes.add("Div", deviations, nodes.constant(encoder.scale, "encoder.scale"))


def _add_asinh(nodes: Nodes, values: str) -> str:
    """Add the inverse hyperbolic sine of float64 values, as float32.

    ONNX Runtime has Asinh for float32 only, in which large values would be infinite. For them,
    asinh(x) = sign(x) log(2 |x|).
    """
    types = require_onnx().TensorProto
    size = nodes.add("Abs", values)
    logarithm = nodes.add("Log", nodes.add("Mul", size, nodes.constant(np.array(2.0))))
    large = nodes.add(
        "Cast", nodes.add("Mul", nodes.add("Sign", values), logarithm), to=types.FLOAT
    )
    usual = nodes.add("Asinh", nodes.add("Cast", values, to=types.FLOAT))
    is_usual = nodes.add("Less", size, nodes.constant(np.array(_LARGE_ASINH)))
    return nodes.add("Where", is_usual, usual, large)


def _add_sequence_views(
    nodes: Nodes, encoder: FeatureEncoder, numeric: str, absent: str | None, rows: Rows
) -> list[str]:
    """Add the imputation and the views of `bothways.nn.normalization`; return them as float32."""
    types = require_onnx().TensorProto
    median = nodes.constant(encoder.median.double(), "encoder.median")
    scale = nodes.constant(encoder.scale.double(), "encoder.scale")
    reach = nodes.constant((LINEAR_RANGE * encoder.scale).double())
    zero, one, limit, opposite = (
        nodes.constant(np.array(value)) for value in (0.0, 1.0, LOG_RATIO_LIMIT, -LOG_RATIO_LIMIT)
    )
    if absent is not None and encoder.missing == "zero":
        numeric, absent = nodes.add("Where", absent, nodes.number(0.0), numeric), None
    values = nodes.add("Cast", numeric, to=types.DOUBLE)
    valid = nodes.add("Unsqueeze", rows.valid, nodes.integers(2))  # (batch, time, 1)
    present = valid if absent is None else nodes.add("And", valid, nodes.add("Not", absent))

    def total(terms: str) -> str:
        return nodes.add("ReduceSum", terms, nodes.integers(1))  # (batch, 1, features)

    def robust(terms: str) -> str:
        ratio = nodes.add("Div", nodes.add("Sub", terms, median), reach)
        return nodes.add("Mul", _add_asinh(nodes, ratio), nodes.number(LINEAR_RANGE))

    count = total(nodes.add("Cast", present, to=types.DOUBLE))
    divisor = nodes.add("Max", count, one)
    mean = nodes.add("Div", total(nodes.add("Where", present, values, zero)), divisor)
    mean = nodes.add("Where", nodes.add("Greater", count, zero), mean, median)
    values = nodes.add("Where", present, values, mean)
    centered = nodes.add("Sub", values, mean)
    variance = nodes.add("Div", total(nodes.add("Mul", centered, centered)), divisor)
    varies = nodes.add("Greater", variance, zero)
    deviation = nodes.add("Sqrt", nodes.add("Where", varies, variance, one))
    log_ratio = nodes.add("Log", nodes.add("Div", deviation, scale))
    log_ratio = nodes.add("Clip", log_ratio, opposite, limit)
    log_scale = nodes.add("Cast", nodes.add("Where", varies, log_ratio, opposite), to=types.FLOAT)
    views = {"own": nodes.add("Cast", nodes.add("Div", centered, deviation), to=types.FLOAT)}
    for name, view in (("level", robust(mean)), ("log_scale", log_scale)):
        views[name] = nodes.add("Where", valid, view, nodes.number(0.0))  # at all time steps
    if "robust" in encoder.views:
        views["robust"] = robust(values)
    return [views[name] for name in encoder.views]


def _add_embedding(nodes: Nodes, embedding: CategoryEmbedding, inputs: str, feature: int) -> str:
    """Add the vectors of a feature; a table has the vector 0 for all unknown categories."""
    count = len(embedding.known)
    known = torch.where(embedding.known, torch.arange(count), 0)
    vectors = nodes.constant(embedding.embedding.weight[known], f"encoder.tokens.{feature}")
    index = nodes.constant(np.array(feature, np.int64))
    categories = nodes.add("Gather", inputs, index, axis=2)  # (batch, time)
    in_range = nodes.add(
        "And",
        nodes.add("GreaterOrEqual", categories, nodes.number(0.0)),
        nodes.add("Less", categories, nodes.number(count)),
    )
    categories = nodes.add("Where", in_range, categories, nodes.number(0.0))
    rounded = nodes.add("Cast", categories, to=require_onnx().TensorProto.INT64)  # toward 0
    return nodes.add("Gather", vectors, rounded, axis=0)


def add_stem(nodes: Nodes, stem: ConvolutionalStem, steps: str, rows: Rows) -> tuple[str, Rows]:
    """Add the convolutions.

    Parameters
    ----------
    steps : str
        (batch, time, features).

    Returns
    -------
    steps : str
        (batch, shorter time, channels).
    rows : Rows
        The lengths, divided by the stride for each convolution, and their mask.
    """
    steps = nodes.add("Transpose", steps, perm=[0, 2, 1])
    for number, convolution in enumerate(stem.convolutions):
        assert isinstance(convolution, nn.Conv1d)
        assert convolution.bias is not None
        name = f"stem.convolutions.{number}"
        (kernel,) = convolution.kernel_size
        convolved = nodes.add(
            "Conv",
            rows.masked(nodes, steps, feature_axis=1),
            nodes.constant(convolution.weight, f"{name}.weight"),
            nodes.constant(convolution.bias, f"{name}.bias"),
            kernel_shape=[kernel],
            strides=[stem.stride],
            pads=[kernel // 2] * 2,
        )
        steps = nodes.add("Relu", convolved)
        if stem.stride > 1:
            above = nodes.add("Add", rows.lengths, nodes.integers(stem.stride - 1))
            lengths = nodes.add("Div", above, nodes.integers(stem.stride))
            rows = Rows.of(nodes, lengths, steps, time_axis=2)
    return nodes.add("Transpose", steps, perm=[0, 2, 1]), rows
