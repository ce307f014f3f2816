"""Labeled sequences: from files and arrays to batches.

Here are the readers, datasets, splits, batches and the checks of what users pass. Nothing here
knows about models; what a model does to its inputs belongs to `bothways.nn.preprocessing`.
"""

from bothways.data.dataset import Dataset
from bothways.data.open import open_dataset
from bothways.data.options import DataOptions
from bothways.data.sequences import SequenceBatch, Sequences

__all__ = ["DataOptions", "Dataset", "SequenceBatch", "Sequences", "open_dataset"]
