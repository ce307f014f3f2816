"""A model in an ONNX file: read without trust in the file, and run by onnxruntime.

An ONNX file can contain any program, and can name other files that are to be read. A file is
therefore checked before onnxruntime loads it: it may contain only what `bothways.export` writes.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bothways.config import ModelConfig
from bothways.errors import CheckpointError, ConfigError, ShapeError
from bothways.kernels.lengths import Lengths
from bothways.models.manifest import Manifest, manifest_of
from bothways.nn.pooling import check_flat_lengths
from bothways.nn.size import check_size
from bothways.optional import require
from bothways.storage.reading import read_file

SUFFIX = ".onnx"
INPUTS = ("inputs", "lengths")
OUTPUTS = ("logits", "probabilities")
MANIFEST_KEY = "bothways"
"""The key of the manifest in the metadata of a file."""

_LARGEST_BYTES = 2**31 - 1
_ONNX_OPERATORS = (
    "Abs Add And Asinh Cast Clip Concat Conv Div DynamicQuantizeLinear GRU Gather GatherND Greater "
    "GreaterOrEqual Identity IsNaN LSTM Less Log LogSoftmax MatMul MatMulInteger Max Mul Not Pad "
    "RNN Range ReduceLogSumExp ReduceMax ReduceSum Relu Reshape Shape Sign Slice Softmax Sqrt "
    "Squeeze Sub Tanh Transpose Unsqueeze Where"
)
_OPERATORS = {("", name) for name in _ONNX_OPERATORS.split()} | {
    ("com.microsoft", "DynamicQuantizeLSTM")
}
_PLAIN = ("FLOAT", "INT", "STRING", "FLOATS", "INTS", "STRINGS")
"""Types of attributes that contain no tensors and no graphs."""


class OnnxClassifier(nn.Module):
    """A classifier that onnxruntime runs on the CPU, with as many threads as torch.

    It has what evaluation needs of a `TorchClassifier`.

    Parameters
    ----------
    content : bytes
        Of an ONNX file that `bothways.export` has written or `load_onnx` has checked.
    config : ModelConfig
    name : str
        What error messages call the model.

    Raises
    ------
    CheckpointError
        If onnxruntime cannot load the content, or it does not fit `config`.
    MissingDependencyError
        If onnxruntime is not installed.
    """

    def __init__(self, content: bytes, config: ModelConfig, name: str = "the ONNX model") -> None:
        super().__init__()
        runtime = require("onnxruntime", extra="export", purpose="ONNX files")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # errors are raised, and not also printed
        self.config = config
        self.name = name
        try:
            self.session = runtime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # onnxruntime's own classes of errors have no common base
            raise _damaged(name, error) from None
        found = tuple(tuple(value.name for value in values) for values in self._values())
        if found != (INPUTS, OUTPUTS):
            raise CheckpointError(
                f"{name} has inputs and outputs {found}; expected {(INPUTS, OUTPUTS)}. Export the "
                "model again."
            )

    def forward(self, inputs: Tensor, lengths: Any = None) -> Tensor:
        """Return logits as `SequenceClassifier.forward`, and zeros at and past `lengths`.

        Raises
        ------
        ShapeError
            If `inputs` or `lengths` do not fit.
        CheckpointError
            If onnxruntime fails, or its answer has another shape than that of the model.
        """
        if inputs.dim() != 3 or inputs.shape[2] != self.config.input_size:
            raise ShapeError(
                f"inputs has shape {tuple(inputs.shape)}; expected (batch, time, "
                f"{self.config.input_size}). Check the axes."
            )
        values = Lengths.of(lengths, *inputs.shape[:2]).values
        if self.config.sequence_length is not None:
            check_flat_lengths(values, self.config.sequence_length)
        given = dict(zip(INPUTS, (inputs.float().numpy(), values.numpy()), strict=True))
        try:
            (logits,) = self.session.run([OUTPUTS[0]], given)
        except Exception as error:  # as above
            raise _damaged(self.name, error) from None
        axes = inputs.shape[:2] if self.config.target == "step" else inputs.shape[:1]
        expected = (*axes, self.config.num_classes)
        if logits.shape != expected:
            raise CheckpointError(
                f"{self.name} answers with shape {logits.shape}; expected {expected}. Export the "
                "model again."
            )
        return torch.from_numpy(logits)

    def _values(self) -> tuple[Any, Any]:
        return self.session.get_inputs(), self.session.get_outputs()


def load_onnx(path: Path) -> tuple[OnnxClassifier, Manifest]:
    """Return the classifier in an ONNX file, and its manifest.

    Raises
    ------
    CheckpointError
        If the file is missing, too large, damaged, not of bothways, or refers to other files.
    MissingDependencyError
        If onnx or onnxruntime is not installed.
    """
    onnx = require("onnx", extra="export", purpose="ONNX files")
    content = read_file(path, _LARGEST_BYTES)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's classes of errors depend on its implementation
        raise _damaged(str(path), error) from None
    texts = [entry.value for entry in model.metadata_props if entry.key == MANIFEST_KEY]
    if len(texts) != 1:
        raise CheckpointError(
            f"{path} has no metadata {MANIFEST_KEY!r}; expected a file that bothways has exported. "
            "Run: bothways export RUN --to FILE.onnx"
        )
    (text,) = texts
    # Text that is not UTF-8 is returned as bytes.
    manifest = manifest_of(text if isinstance(text, bytes) else text.encode(), path)
    try:
        check_size(manifest.model)
    except ConfigError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    _check_graph(model, path)
    return OnnxClassifier(content, manifest.model, str(path)), manifest


def _check_graph(model: Any, path: Path) -> None:
    """Raise CheckpointError if a model has unknown operators, inner graphs or external data."""
    graph = model.graph
    unknown = {(node.domain, node.op_type) for node in graph.node} - _OPERATORS
    if unknown or model.functions:
        names = ", ".join(sorted(repr(name) for _, name in unknown)) or "functions"
        raise CheckpointError(
            f"{path} contains {names}; expected the operators of a bothways export only. Export "
            "the model again."
        )
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    plain = all(attribute.AttributeType.Name(attribute.type) in _PLAIN for attribute in attributes)
    external = any(tensor.data_location or tensor.external_data for tensor in graph.initializer)
    if external or graph.sparse_initializer or not plain:
        raise CheckpointError(
            f"{path} has data outside itself; expected all weights in the file. Export the model "
            "again."
        )


def _damaged(name: str, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return CheckpointError(
        f"{name} is damaged, or onnxruntime cannot run it: {reason}. Export the model again."
    )
