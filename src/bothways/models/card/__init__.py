"""The model card: the `README.md` of a run or model folder, and descriptions of a model in words.

Everything that the card says belongs here, and its layout for model hubs. What is printed on the
terminal belongs to `bothways.cli`. Nothing here depends on the machine, the folder or the time.
"""

from bothways.models.card.card import model_card
from bothways.models.card.descriptions import (
    describe_architecture,
    describe_length,
    describe_normalization,
    describe_origin,
    describe_readout,
    describe_taken,
    describe_training,
)

__all__ = [
    "describe_architecture",
    "describe_length",
    "describe_normalization",
    "describe_origin",
    "describe_readout",
    "describe_taken",
    "describe_training",
    "model_card",
]
