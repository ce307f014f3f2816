"""A classifier as an ONNX model, made of ONNX's own operators."""

import json
import math
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from bothways.config import ModelConfig
from bothways.errors import ExportError
from bothways.export.onnx.layers import add_layers
from bothways.export.onnx.nodes import Nodes, Rows, require_onnx
from bothways.export.onnx.preprocessing import add_encoder, add_stem
from bothways.export.onnx.readouts import add_checked_lengths, add_readout
from bothways.export.refusals import refuse_lookahead
from bothways.models.card import describe_architecture, describe_origin
from bothways.models.manifest import Manifest
from bothways.models.onnx_model import INPUTS, MANIFEST_KEY, OUTPUTS
from bothways.nn.classifier import SequenceClassifier, TorchClassifier
from bothways.nn.size import weight_bytes

OPSET = 17
"""Version of ONNX's operators; onnxruntime supports it since 1.12."""

IR_VERSION = 8

_LARGEST_BYTES = 2**31 - 1
"""A protobuf message, which an ONNX file is, cannot be larger."""


def onnx_model(classifier: TorchClassifier, manifest: Manifest) -> Any:
    """Return a classifier as an ONNX model.

    Its inputs are `inputs` float32 (batch, time, input_size) and `lengths` int64 (batch,). Its
    outputs are `logits` and `probabilities` (batch, num_classes) or, with readout step, (batch,
    time, num_classes), which are 0 at and past the lengths.

    Parameters
    ----------
    classifier : SequenceClassifier or Ensemble
        What it computes in eval mode is exported.
    manifest : Manifest

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ExportError
        If the weights do not fit in an ONNX file, or the lookahead is limited.
    MissingDependencyError
        If onnx is not installed.
    """
    refuse_lookahead(classifier.config)
    onnx = require_onnx()
    needed = weight_bytes(classifier.config)
    if needed > _LARGEST_BYTES:
        raise ExportError(
            f"the weights take {needed:,} bytes; expected at most {_LARGEST_BYTES:,}, the limit of "
            "an ONNX file. Train a smaller model."
        )
    helper, types = onnx.helper, onnx.TensorProto
    nodes = _nodes_of(classifier)
    config = classifier.config
    axes = ["batch", "time"] if config.target == "step" else ["batch"]
    inputs = [
        helper.make_tensor_value_info("inputs", types.FLOAT, ["batch", "time", config.input_size]),
        helper.make_tensor_value_info("lengths", types.INT64, ["batch"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, types.FLOAT, [*axes, config.num_classes])
        for name in OUTPUTS
    ]
    graph = helper.make_graph(nodes.nodes, "classifier", inputs, outputs, nodes.constants)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="bothways",
        producer_version=version("bothways"),
        doc_string=f"{describe_architecture(manifest)}; {describe_origin(manifest)}",
    )
    helper.set_model_props(model, metadata(manifest))
    return model


def _nodes_of(classifier: TorchClassifier) -> Nodes:
    config = classifier.config
    nodes = Nodes()
    steps, lengths = INPUTS
    if config.sequence_length is not None:
        lengths = add_checked_lengths(nodes, lengths, config.sequence_length)
    rows = Rows.of(nodes, lengths, steps, time_axis=1)
    steps = rows.masked(nodes, steps, feature_axis=2)
    if config.members == 1:
        logits = _add_network(nodes, classifier.networks[0], steps, rows)
    else:
        found = [
            _add_network(nodes.within(f"members.{n}."), network, steps, rows)
            for n, network in enumerate(classifier.networks)
        ]
        logits = _add_average(nodes, found)
    if config.calibrate:
        logits = nodes.add("Div", logits, nodes.constant(classifier.temperature, "temperature"))
    outputs = (logits, nodes.add("Softmax", logits, axis=-1))
    for values, output in zip(outputs, OUTPUTS, strict=True):
        if config.target == "step":
            values = rows.masked(nodes, values, feature_axis=2)
        nodes.add("Identity", values, output=output)
    return nodes


def _add_network(nodes: Nodes, network: SequenceClassifier, steps: str, rows: Rows) -> str:
    """Add a network without its temperature; return its logits."""
    if network.encoder is not None:
        steps = add_encoder(nodes, network.encoder, steps, rows)
    if network.stem is not None:
        steps, rows = add_stem(nodes, network.stem, steps, rows)
        steps = rows.masked(nodes, steps, feature_axis=2)
    outputs, h_n = add_layers(nodes, network.layers, steps, rows.lengths)
    if not {"final", "last"}.issuperset(network.config.readouts):
        # ONNX does not define the outputs in the padding.
        outputs = rows.masked(nodes, outputs, feature_axis=2)
    features = add_readout(nodes, network.readout, outputs, h_n, rows)
    linear = network.linear
    return nodes.linear(features, linear.weight, linear.bias, "linear")


def _add_average(nodes: Nodes, logits: Sequence[str]) -> str:
    """Add `bothways.nn.ensemble.average_logits`."""
    first = nodes.integers(0)
    logarithms = [
        nodes.add("Unsqueeze", nodes.add("LogSoftmax", own, axis=-1), first) for own in logits
    ]
    joined = nodes.add("Concat", *logarithms, axis=0)
    total = nodes.add("ReduceLogSumExp", joined, axes=[0], keepdims=0)
    return nodes.add("Sub", total, nodes.number(math.log(len(logits))))


def describe_interface(config: ModelConfig) -> dict[str, str]:
    """Return the types and shapes of the inputs and outputs, by name."""
    steps = ", time" if config.target == "step" else ""
    return {
        "inputs": f"float32 (batch, time, {config.input_size})",
        "lengths": "int64 (batch,)",
        **dict.fromkeys(OUTPUTS, f"float32 (batch{steps}, {config.num_classes})"),
    }


def metadata(manifest: Manifest) -> dict[str, str]:
    """Return what the file says about itself, as text or JSON, by key."""
    model, preprocessing = manifest.model, manifest.preprocessing
    reading = preprocessing.reading
    each = "sequence" if model.target == "sequence" else "time step"
    padding = " Both are 0 at and past the lengths." if model.target == "step" else ""
    missing = (
        "NaN is a missing value."
        if model.accepts_missing
        else "NaN is not allowed before the lengths."
    )
    longest = "" if model.sequence_length is None else f", at most {model.sequence_length}"
    shapes = describe_interface(model)
    found = {
        "inputs": f"{shapes['inputs']}: the features of each time step, in "
        f"the order of the key features, not normalized. {missing} Values at and past the "
        "lengths are ignored.",
        "lengths": f"{shapes['lengths']}: the number of time steps of each sequence, from 1 to time"
        f"{longest}.",
        "outputs": f"logits and probabilities, {shapes['logits']}: of the classes for each {each}, "
        f"in the order of the key classes.{padding}",
        "classes": _json(manifest.classes),
        "features": _json(preprocessing.features or [f"{n}" for n in range(model.input_size)]),
        "provenance": describe_origin(manifest),
        "versions": _json(manifest.provenance.versions),
        MANIFEST_KEY: manifest.to_bytes().decode(),
    }
    if reading.vocabularies:
        found["categories"] = _json(reading.vocabularies)
        found["inputs"] += (
            " Categorical features are the position of the name in the key categories, from 1; 0 "
            "for any other name."
        )
    if any(reading.offsets or ()):
        found["offsets"] = _json(reading.offsets)
        found["inputs"] += " Subtract the key offsets from the features, in float64."
    return found


def _json(values: Any) -> str:
    return json.dumps(values, ensure_ascii=False)
