"""Random changes of training batches that do not change the classes.

Each sequence is changed in its own way, by tensor operations on the whole batch, with random
numbers of the training's generator. Lengths stay as they are, and the padding stays zero.
"""

from bothways.training.loop.augmentation.augment import augment

__all__ = ["augment"]
