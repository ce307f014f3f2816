from .batching import LabeledBatch as LabeledBatch
from .batching import SequenceBatch as SequenceBatch
from .dataset import Dataset as Dataset
from .open import open_dataset as open_dataset
from .options import DataOptions as DataOptions
from .sequences import LabeledSequences as LabeledSequences
from .sequences import Sequences as Sequences
