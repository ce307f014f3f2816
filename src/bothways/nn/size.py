"""The memory size of the weights of a model, computed before they are allocated."""

import os

from bothways.config import ModelConfig
from bothways.errors import ConfigError
from bothways.kernels.cells import cell_named

_FLOAT_BYTES = 4
_SLACK_BYTES = 1 << 24  # buffers and the header of a file, for each network


def weight_bytes(config: ModelConfig) -> int:
    """Return the size of all parameters of a classifier, except those of attention."""
    directions = 2 if config.bidirectional else 1
    hidden = config.hidden_size
    gates = len(cell_named(config.cell, config.nonlinearity).gates)
    tokens = filter(None, config.categories)
    count = sum(
        (tokens + 1) * size for tokens, size in zip(tokens, config.embedding_sizes, strict=True)
    )
    inputs = config.encoded_size
    if config.stem_channels is not None:
        channels = config.stem_channels
        count += channels * (inputs * config.stem_kernel + 1)
        count += (config.stem_layers - 1) * channels * (channels * config.stem_kernel + 1)
        inputs = channels
    above = (config.num_layers - 1) * directions * gates * hidden
    count += directions * gates * hidden * (inputs + hidden + 2)
    count += above * (directions * hidden + hidden + 2)
    steps = sum((config.sequence_length or 1) if n == "flatten" else 1 for n in config.readouts)
    count += config.num_classes * (steps * directions * hidden + 1)
    return config.members * count * _FLOAT_BYTES


def file_limit(config: ModelConfig, copies: int = 1) -> int:
    """Return the largest size that a file with `copies` of all weights can have."""
    attention = 2 * (2 * config.hidden_size + 1) ** 2 * _FLOAT_BYTES
    more = config.members * (copies * attention + _SLACK_BYTES)
    return copies * weight_bytes(config) + more


def check_size(config: ModelConfig) -> None:
    """Raise ConfigError if the weights exceed the memory of this machine."""
    needed = weight_bytes(config)
    try:
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        available = 1 << 46
    if needed > available:
        raise ConfigError(
            f"hidden_size is {config.hidden_size} with num_layers {config.num_layers} and members "
            f"{config.members}: the weights take {needed:,} bytes; expected at most the memory of "
            f"this machine, {available:,}. Choose a smaller model."
        )
