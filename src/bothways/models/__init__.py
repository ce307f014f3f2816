"""A trained model and its folder: saving, loading, predicting, converting.

Here is everything that works with a finished model. How it is trained belongs to
`bothways.training`; its architecture belongs to `bothways.nn`.
"""

from bothways.models.trained import TrainedClassifier, TrainedLabeler, TrainedModel, load

__all__ = ["TrainedClassifier", "TrainedLabeler", "TrainedModel", "load"]
