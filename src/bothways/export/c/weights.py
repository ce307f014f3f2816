"""The constant arrays of an exported C file: weights, biases and statistics, float32 or int8."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from bothways.config import ModelConfig
from bothways.errors import ExportError
from bothways.kernels.cells import cell_named
from bothways.nn.classifier import TorchClassifier
from bothways.nn.initialization import unset_classifier

Array = np.ndarray[Any, np.dtype[Any]]
Weights = Literal["float32", "int8"]

_INT8_MAX = 127
_PER_LINE = 6


@dataclass(frozen=True)
class Constant:
    """One array of the C file.

    Parameters
    ----------
    name : str
    values : float32 or int8 array (size,), or (rows, columns)
    comment : str
    """

    name: str
    values: Array
    comment: str

    @property
    def c_type(self) -> str:
        """The type of an element in C."""
        return "int8_t" if self.values.dtype == np.int8 else "float"

    def text(self) -> str:
        """Return the elements as C constants, one line or more for each row.

        Nine significant digits identify a float32.
        """
        lines = []
        for row in np.atleast_2d(self.values):
            if row.dtype == np.int8:
                words = [str(value) for value in row.tolist()]
            else:
                words = [_float_text(value) for value in row.tolist()]
            lines += [
                "    " + ", ".join(words[first : first + 8]) + ","
                for first in range(0, len(words), 8)
            ]
        return "\n".join(lines)


def _float_text(value: float) -> str:
    digits = f"{value:.9g}"
    return f"{digits}f" if "." in digits or "e" in digits else f"{digits}.0f"


@dataclass(frozen=True)
class ModelWeights:
    """What the C file contains of the weights of a model.

    Parameters
    ----------
    constants : list of Constant
    classifier : TorchClassifier
        The classifier that the C file computes, on the CPU; rounded if the weights are int8.
    """

    constants: list[Constant]
    classifier: TorchClassifier

    @property
    def size_bytes(self) -> int:
        """Bytes of all constants."""
        return sum(constant.values.nbytes for constant in self.constants)


def model_weights(classifier: TorchClassifier, weights: Weights) -> ModelWeights:
    """Return the weights of a classifier, arranged for the C functions.

    With int8, each row of a matrix is multiplied by 127 over its largest absolute value and
    rounded; biases, statistics and the temperature remain float32.

    Raises
    ------
    ExportError
        If a weight is not finite.
    """
    state = {name: tensor.detach().cpu() for name, tensor in classifier.state_dict().items()}
    for name, tensor in state.items():
        if not bool(tensor.isfinite().all()):
            raise ExportError(
                f"{name} contains values that are not finite; expected numbers. Train the model "
                "again with a smaller learning rate."
            )
    constants: list[Constant] = []
    restored: dict[str, Array] = {}
    for matrix in _matrices(classifier.config, state):
        original = state[matrix.source].numpy().astype(np.float32)
        rows = original.reshape(-1)[matrix.order]
        if matrix.unknown is not None:
            rows[matrix.unknown] = rows[0]
        if weights == "float32":
            constants.append(Constant(matrix.name, rows, matrix.comment))
            continue
        values, scale = _int8_rows(rows)
        constants += [
            Constant(matrix.name, values, matrix.comment),
            Constant(f"{matrix.name}_scale", scale, "Scales of the rows above."),
        ]
        rounded = restored.setdefault(matrix.source, original.copy())
        rounded.reshape(-1)[matrix.order] = values.astype(np.float32) * scale[:, None]
    constants += _vectors(classifier.config, state)
    computed = unset_classifier(classifier.config)
    rounded_state = {name: torch.from_numpy(values) for name, values in restored.items()}
    computed.load_state_dict({**state, **rounded_state}, assign=True)
    return ModelWeights(constants, computed.eval())


def _int8_rows(rows: Array) -> tuple[Array, Array]:
    """Return int8 rows and float32 scales whose product is near `rows` (rows, columns)."""
    largest = np.abs(rows).max(axis=1)
    scale = np.where(largest > 0, largest / _INT8_MAX, 1.0).astype(np.float32)
    scale = np.maximum(scale, np.finfo(np.float32).tiny)  # the quotient of a denormal may be 0
    return np.rint(rows / scale[:, None]).astype(np.int8), scale


@dataclass(frozen=True)
class _Matrix:
    """A matrix in C: a tensor of the state dict with its elements in another order.

    Parameters
    ----------
    name, comment : str
    source : str
        Name in the state dict.
    order : int array (rows, columns)
        Flat indices into the tensor.
    unknown : bool array (rows,), optional
        Rows that are replaced by row 0.
    """

    name: str
    comment: str
    source: str
    order: Array
    unknown: Array | None = None


def _matrices(config: ModelConfig, state: dict[str, torch.Tensor]) -> Iterator[_Matrix]:
    def indices(source: str) -> Array:
        return np.arange(state[source].numel()).reshape(state[source].shape)

    for feature in config.categorical_features:
        source = f"encoder.tokens.{feature}.embedding.weight"
        known = state[f"encoder.tokens.{feature}.known"].numpy()
        yield _Matrix(
            f"feature_{feature}_vectors",
            f"Rows: categories of feature {feature}. Untrained ones have the vector of row 0.",
            source,
            indices(source),
            ~known,
        )
    for layer in range(config.stem_layers if config.stem_channels is not None else 0):
        source = f"stem.convolutions.{layer}.weight"
        order = indices(source).transpose(0, 2, 1)  # (channels, kernel, features)
        yield _Matrix(
            f"stem_{layer}_weight",
            "Rows: channels. Columns: the features of the first row of the window, and so on.",
            source,
            order.reshape(order.shape[0], -1),
        )
    gates = cell_named(config.cell, config.nonlinearity).gates
    rows = f"Rows: the units of gates {', '.join(gates)}." if len(gates) > 1 else "Rows: units."
    for name, suffix in layer_directions(config):
        for part, reads, columns in (("input", "ih", "inputs"), ("hidden", "hh", "hidden state")):
            source = f"layers.weight_{reads}_{suffix}"
            comment = f"{rows} Columns: {columns}."
            yield _Matrix(f"{name}_{part}_weight", comment, source, indices(source))
    if "attention" in config.readouts:
        for name in ("project", "context"):
            source = f"{_attention(config)}.{name}.weight"
            yield _Matrix(f"attention_{name}_weight", "See attend().", source, indices(source))
    order, place = indices("linear.weight"), 0
    for readout in config.readouts:
        blocks, size = linear_blocks(config, readout)
        own = order[:, place : place + blocks * size]
        place += blocks * size
        own = own.reshape(config.num_classes, blocks, size).transpose(1, 0, 2)
        comment = f"Rows: classes. Columns: the features of readout {readout}."
        if blocks > 1:
            comment = f"{blocks} matrices, one for each block of features. {comment}"
        name = f"linear_{readout}_weight"
        yield _Matrix(name, comment, "linear.weight", own.reshape(-1, size))


def _vectors(config: ModelConfig, state: dict[str, torch.Tensor]) -> Iterator[Constant]:
    def vector(name: str, comment: str, values: torch.Tensor) -> Constant:
        return Constant(name, values.numpy().astype(np.float32).reshape(-1), comment)

    normalizes = config.normalization != "none"
    if config.numeric_features and (normalizes or config.missing in ("mean", "mask")):
        comment = f"The {config.center_name} of each numeric feature in the training data."
        yield vector("numeric_center", comment, state[f"encoder.{config.center_name}"])
    if config.numeric_features and normalizes:
        yield vector("numeric_scale", "Its scale in the training data.", state["encoder.scale"])
    for layer in range(config.stem_layers if config.stem_channels is not None else 0):
        yield vector(f"stem_{layer}_bias", "", state[f"stem.convolutions.{layer}.bias"])
    for name, suffix in layer_directions(config):
        of_input = state[f"layers.bias_ih_{suffix}"]
        of_hidden = state[f"layers.bias_hh_{suffix}"]
        if config.cell == "gru":  # the reset gate acts between the two biases of the new state
            hidden = config.hidden_size
            both = of_input[: 2 * hidden] + of_hidden[: 2 * hidden]
            bias = torch.cat([both, of_input[2 * hidden :], of_hidden[2 * hidden :]])
            yield vector(f"{name}_bias", "Reset, update, new (input), new (hidden).", bias)
        else:
            yield vector(f"{name}_bias", "Biases of input and hidden, added.", of_input + of_hidden)
    if "attention" in config.readouts:
        bias = state[f"{_attention(config)}.project.bias"]
        yield vector("attention_project_bias", "", bias)
    yield vector("linear_bias", "", state["linear.bias"])
    if config.calibrate:
        yield vector("temperature", "Divides the logits.", state["temperature"])


def layer_directions(config: ModelConfig) -> Iterator[tuple[str, str]]:
    """Yield the name in C and the suffix of torch's weights for each direction of each layer."""
    for layer in range(config.num_layers):
        yield f"layer_{layer}_forward", f"l{layer}"
        if config.bidirectional:
            yield f"layer_{layer}_backward", f"l{layer}_reverse"


def linear_blocks(config: ModelConfig, readout: str) -> tuple[int, int]:
    """Return the number and the size of the blocks in which features enter the linear layer."""
    directions = 2 if config.bidirectional else 1
    if readout == "flatten":
        assert config.sequence_length is not None  # validated by ModelConfig
        return config.sequence_length * directions, config.hidden_size
    if readout == "step":
        return directions, config.hidden_size
    return 1, directions * config.hidden_size


def _attention(config: ModelConfig) -> str:
    """Return where the state dict has the weights of readout attention."""
    return "readout" if len(config.readouts) == 1 else "readout.parts.attention"
