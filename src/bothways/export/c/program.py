"""The structure of an exported C program: its layers, its memory and its sizes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bothways.config import ModelConfig
from bothways.kernels.cells import cell_named

_FLOAT_BYTES = 4
_DOUBLE_BYTES = 8
_LONGEST = 2_000_000_000  # so that no sum with a kernel size exceeds an int32
_INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class Field:
    """A field of the state struct.

    Parameters
    ----------
    name : str
    size : int, optional
        Elements; None for a single number.
    initial : str, optional
        What it is set to at the start of a sequence; None if it is written before it is read.
    comment : str
    c_type : float, double or int32_t
    """

    name: str
    size: int | None
    initial: str | None = None
    comment: str = ""
    c_type: str = "float"

    @property
    def declaration(self) -> str:
        """The declaration in C."""
        return f"{self.c_type} {self.name}{'' if self.size is None else f'[{self.size}]'};"

    @property
    def size_bytes(self) -> int:
        """Bytes of the field."""
        each = _DOUBLE_BYTES if self.c_type == "double" else _FLOAT_BYTES
        return each * (1 if self.size is None else self.size)


@dataclass(frozen=True)
class Embedding:
    """A categorical feature: its index, categories, vector size, and place among the encoded."""

    feature: int
    count: int
    size: int
    position: int


@dataclass(frozen=True)
class Convolution:
    """A convolution of the stem and the number of features that it reads."""

    index: int
    inputs: int


@dataclass(frozen=True)
class Layer:
    """A recurrent layer.

    Parameters
    ----------
    index, inputs : int
    directions : tuple of str
    is_top : bool
    encodes : bool
        Whether it encodes the features that it reads.
    row_floats : int
        Size of the rows that it reads; before encoding, if it encodes.
    source : str
        In a bidirectional network, the rows that it reads: "inputs" or a buffer.
    target : str, optional
        In a bidirectional network, the buffer that stores its outputs, if they are stored.
    """

    index: int
    inputs: int
    directions: tuple[str, ...]
    is_top: bool
    encodes: bool
    row_floats: int
    source: str
    target: str | None

    @property
    def stores_outputs(self) -> bool:
        """Whether its outputs at all time steps are stored."""
        return self.target is not None


class Program:
    """Sizes and choices that the templates need, all derived from a `ModelConfig`.

    A forward network keeps only its state. A bidirectional network of several layers, with a
    stem or with readout attention also keeps rows of floats for each time step, in two buffers that
    take turns: a layer reads one and writes the other. If sequences are normalized by their own
    statistics, these are computed before the first layer runs.

    Parameters
    ----------
    config : ModelConfig
    """

    def __init__(self, config: ModelConfig) -> None:
        self.cell, self.nonlinearity = config.cell, config.nonlinearity
        self.is_lstm = config.cell == "lstm"
        self.readouts, self.bidirectional = config.readouts, config.bidirectional
        self.labels_steps = config.target == "step"
        self.missing, self.accepts_missing = config.missing, config.accepts_missing
        self.normalization, self.calibrate = config.normalization, config.calibrate
        self.input_size, self.num_classes = config.input_size, config.num_classes
        self.hidden = config.hidden_size
        self.features = self.hidden * (2 if config.bidirectional else 1)
        self.num_gates = len(cell_named(config.cell, config.nonlinearity).gates)
        self.gate_floats = (4 if config.cell == "gru" else self.num_gates) * self.hidden
        self.numeric, self.categorical = config.numeric_features, config.categorical_features
        self.encodes = (
            bool(self.categorical) or config.normalization != "none" or config.accepts_missing
        )
        self.measures = config.normalizes_sequences and bool(self.numeric)
        # Where each view of the numeric features starts among the encoded features.
        self.places = {
            name: n * len(self.numeric) for n, name in enumerate([*config.views, "mask"])
        }
        self.embeddings = list(_embeddings(config))
        self.encoded_size = config.encoded_size
        self.stem = config.stem_channels is not None
        self.channels, self.kernel = config.stem_channels or 0, config.stem_kernel
        self.stride = min(config.stem_stride, _INT32_MAX)
        num_convolutions = config.stem_layers if self.stem else 0
        self.total_stride: int = min(config.stem_stride**num_convolutions, _INT32_MAX)
        self.convolutions = [
            Convolution(n, self.encoded_size if n == 0 else self.channels)
            for n in range(num_convolutions)
        ]
        self.stem_output = f"stem_{num_convolutions - 1}_output"
        self.encoded_input = "state->encoded" if self.encodes else "input"
        self.max_time = config.sequence_length or _LONGEST
        self.has_step = not (
            config.bidirectional or self.measures or (self.stem and self.labels_steps)
        )
        self.counter = self._counter()
        self.buffers = (0, 0)
        self.layers = self._layers(config.num_layers)
        self.workspace_floats = sum(self.buffers)
        self.fields = self._fields()
        self.begins = any(field.initial is not None for field in self.fields)

    def _counter(self) -> str | None:
        """Return the field of the state that counts time steps and must not overflow, if any."""
        if self.stem:
            return "stem_0_rows"
        return "steps" if {"mean", "flatten"}.intersection(self.readouts) else None

    def _layers(self, num_layers: int) -> list[Layer]:
        directions = ("forward", "backward") if self.bidirectional else ("forward",)
        sizes = [self.channels] if self.stem else []
        layers = []
        source = "buffer_0" if self.stem else "inputs"
        for index in range(num_layers):
            is_top = index == num_layers - 1
            inputs = self.features if index else self.channels or self.encoded_size
            encodes = index == 0 and self.encodes and not self.stem
            target = None
            if self.bidirectional and (not is_top or "attention" in self.readouts):
                target = f"buffer_{len(sizes) % 2}"
                sizes.append(self.features)
            row_floats = self.input_size if encodes else inputs
            layers.append(
                Layer(index, inputs, directions, is_top, encodes, row_floats, source, target)
            )
            source = target or ""
        if self.bidirectional:
            self.buffers = max(sizes[::2], default=0), max(sizes[1::2], default=0)
        return layers

    def _fields(self) -> list[Field]:
        fields = []
        if self.measures:
            fields += [
                Field("own_mean", len(self.numeric), comment="of the sequence", c_type="double"),
                Field("own_deviation", len(self.numeric), comment="1 if constant", c_type="double"),
            ]
        if self.encodes:
            fields.append(Field("encoded", self.encoded_size, comment="features of a time step"))
        for convolution in self.convolutions:
            name = f"stem_{convolution.index}"
            window = self.kernel * convolution.inputs
            fields += [
                Field(f"{name}_window", window, "0.0f", f"the last {self.kernel} rows"),
                Field(f"{name}_output", self.channels),
                Field(f"{name}_rows", None, "0", "rows read", "int32_t"),
                Field(f"{name}_padding", None, "0", "rows of zeros after the end", "int32_t"),
            ]
        states = ("hidden", "cell") if self.is_lstm else ("hidden",)
        if self.bidirectional:
            fields += [Field(name, self.hidden, comment="of one direction") for name in states]
        else:
            fields += [
                Field(f"layer_{layer.index}_{name}", self.hidden, "0.0f")
                for layer in self.layers
                for name in states
            ]
        fields.append(Field("gates", self.gate_floats, comment="sums of weighted inputs"))
        return fields + self._readout_fields()

    def _readout_fields(self) -> list[Field]:
        fields = []
        for readout in self.readouts:
            features = f"{readout}_features"
            match readout:
                case "mean":
                    fields.append(Field(features, self.features, "0.0f", "sum of the outputs"))
                case "max":
                    fields.append(Field(features, self.features, "-INFINITY", "largest outputs"))
                case "attention":
                    fields += [
                        Field(features, self.features, "0.0f", "weighted sum of the outputs"),
                        Field("attention_projected", self.features),
                        Field("attention_largest", None, "-INFINITY", "largest score"),
                        Field("attention_total", None, "0.0f", "sum of the weights"),
                    ]
                case "flatten":
                    fields.append(Field("logits", self.num_classes, "linear_bias", "so far"))
                case "last" | "final" if self.bidirectional:
                    fields.append(Field(features, self.features, comment="of both directions"))
        counts = "mean" in self.readouts or ("flatten" in self.readouts and not self.bidirectional)
        return fields + ([Field("steps", None, "0", "steps read", "int32_t")] if counts else [])

    def features_field(self, readout: str) -> str:
        """Return the field of the state that contains the features of a readout."""
        is_state = readout in ("last", "final", "step") and not self.bidirectional
        return f"layer_{len(self.layers) - 1}_hidden" if is_state else f"{readout}_features"

    @property
    def code_bytes(self) -> int:
        """An upper bound of the machine code with -Os; what was measured is less."""
        directions = sum(len(layer.directions) for layer in self.layers)
        measuring = 768 if self.measures else 0
        parts = directions + len(self.convolutions) + len(self.embeddings)
        return 2560 + measuring + 256 * parts

    @property
    def state_bytes(self) -> int:
        """Bytes of the state struct."""
        total = sum(field.size_bytes for field in self.fields)
        alignment = _DOUBLE_BYTES if self.measures else _FLOAT_BYTES
        return -(-total // alignment) * alignment

    def rows_of(self, time: Any) -> str:
        """Return the C expression of the rows that the layers read of `time` time steps."""
        return f"(({time} - 1) / {self.total_stride} + 1)" if self.total_stride > 1 else str(time)

    def ram_bytes(self, time: int) -> int:
        """Return the bytes of the state and the workspace for a sequence of `time` steps."""
        rows = (time - 1) // self.total_stride + 1
        return self.state_bytes + rows * self.workspace_floats * _FLOAT_BYTES


def _embeddings(config: ModelConfig) -> Iterator[Embedding]:
    position = config.encoded_numeric_size
    for feature, size in zip(config.categorical_features, config.embedding_sizes, strict=True):
        yield Embedding(feature, config.categories[feature], size, position)
        position += size
