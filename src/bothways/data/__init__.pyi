from .dataset import Dataset as Dataset
from .open import open_dataset as open_dataset
from .options import DataOptions as DataOptions
from .sequences import SequenceBatch as SequenceBatch
from .sequences import Sequences as Sequences
