"""A trained model and its folder or file: saving, loading, predicting, converting.

Everything that works with a trained model belongs here. Training belongs to `bothways.training`,
and the architecture to `bothways.nn`.
"""

from bothways.models.loading import load
from bothways.models.trained import TrainedClassifier, TrainedLabeler
from bothways.models.trained_model import TrainedModel

__all__ = ["TrainedClassifier", "TrainedLabeler", "TrainedModel", "load"]
