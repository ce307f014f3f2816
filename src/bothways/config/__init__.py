"""All settings of a model and of its training: validated, frozen, each default stated once."""

from bothways.config.architecture import READOUTS, Architecture, Normalization, Target
from bothways.config.augmentation import Augmentation
from bothways.config.model import ModelConfig
from bothways.config.renamed import (
    describe_unknown_setting,
    known_name,
    normalization_of,
    with_current_names,
)
from bothways.config.settings import Settings
from bothways.config.training import TrainConfig

__all__ = [
    "READOUTS",
    "Architecture",
    "Augmentation",
    "ModelConfig",
    "Normalization",
    "Settings",
    "Target",
    "TrainConfig",
    "describe_unknown_setting",
    "known_name",
    "normalization_of",
    "with_current_names",
]
