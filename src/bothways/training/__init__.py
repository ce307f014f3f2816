"""Training runs: the loop, its checkpoints and the run directory.

Here is everything from a dataset and settings to a trained model, stopped and resumed at any time.
What is done with the model afterwards belongs to `bothways.models`.
"""

from bothways.training.run import resume, train

__all__ = ["resume", "train"]
