"""Training runs: the loop, its checkpoints and the run directory.

Everything between a dataset with settings and a trained model belongs here. What is done with the
model afterwards belongs to `bothways.models`.
"""

from bothways.training.run import resume, train

__all__ = ["resume", "train"]
