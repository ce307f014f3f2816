"""Preprocessing and stem as ONNX nodes, see `bothways.nn.preprocessing` and `bothways.nn.stem`."""

import numpy as np
import torch
from torch import nn

from bothways.export.onnx.nodes import Nodes, Rows, require_onnx
from bothways.nn.preprocessing import FeatureEncoder, TokenEmbedding
from bothways.nn.stem import ConvolutionalStem


def add_encoder(nodes: Nodes, encoder: FeatureEncoder, inputs: str) -> str:
    """Add the imputation, the standardization and the embeddings; return the encoded features.

    `inputs` (batch, time, input_size) must not contain NaN in the padding.
    """
    encoded = []
    if encoder.numeric_features:
        numeric = inputs
        if encoder.tokens:
            numeric = nodes.add("Gather", inputs, nodes.integers(*encoder.numeric_features), axis=2)
        absent = nodes.add("IsNaN", numeric) if encoder.missing != "refuse" else None
        mean = nodes.constant(encoder.mean, "encoder.mean")
        if absent is not None:
            filling = nodes.number(0.0) if encoder.missing == "zero" else mean
            numeric = nodes.add("Where", absent, filling, numeric)
        if encoder.standardize:
            scale = nodes.constant(encoder.scale, "encoder.scale")
            numeric = nodes.add("Div", nodes.add("Sub", numeric, mean), scale)
        encoded.append(numeric)
        if absent is not None and encoder.missing == "mask":
            encoded.append(nodes.add("Cast", absent, to=require_onnx().TensorProto.FLOAT))
    for feature, tokens in encoder.tokens.items():
        assert isinstance(tokens, TokenEmbedding)
        encoded.append(_add_embedding(nodes, tokens, inputs, int(feature)))
    return nodes.add("Concat", *encoded, axis=2) if len(encoded) > 1 else encoded[0]


def _add_embedding(nodes: Nodes, tokens: TokenEmbedding, inputs: str, feature: int) -> str:
    """Add the vectors of a feature; a table has the vector 0 for all unknown categories."""
    count = len(tokens.known)
    known = torch.where(tokens.known, torch.arange(count), 0)
    vectors = nodes.constant(tokens.embedding.weight[known], f"encoder.tokens.{feature}")
    index = nodes.constant(np.array(feature, np.int64))
    numbers = nodes.add("Gather", inputs, index, axis=2)  # (batch, time)
    in_range = nodes.add(
        "And",
        nodes.add("GreaterOrEqual", numbers, nodes.number(0.0)),
        nodes.add("Less", numbers, nodes.number(count)),
    )
    numbers = nodes.add("Where", in_range, numbers, nodes.number(0.0))
    rounded = nodes.add("Cast", numbers, to=require_onnx().TensorProto.INT64)  # toward 0
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
