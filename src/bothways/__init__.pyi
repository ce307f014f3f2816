from .config import Architecture as Architecture
from .config import ModelConfig as ModelConfig
from .config import TrainConfig as TrainConfig
from .data import DataOptions as DataOptions
from .data import Dataset as Dataset
from .data import LabeledSequences as LabeledSequences
from .data import SequenceBatch as SequenceBatch
from .data import Sequences as Sequences
from .data import open_dataset as open_dataset
from .errors import BothwaysError as BothwaysError
from .models import TrainedClassifier as TrainedClassifier
from .models import TrainedLabeler as TrainedLabeler
from .models import TrainedModel as TrainedModel
from .models import load as load
from .nn import SequenceClassifier as SequenceClassifier
from .report import write_report as write_report
from .sklearn import RecurrentClassifier as RecurrentClassifier
from .sklearn import RecurrentLabeler as RecurrentLabeler
from .training import resume as resume
from .training import train as train

__version__: str
