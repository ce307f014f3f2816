"""Recurrent sequence classifiers: from labelled sequences to a model in use.

Importing this package imports neither torch nor any optional package; the public names load what
they need when they are first used (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bothways.classifier import RecurrentClassifier as RecurrentClassifier
    from bothways.config import ModelConfig as ModelConfig
    from bothways.config import TrainConfig as TrainConfig
    from bothways.data import DataOptions as DataOptions
    from bothways.data import Dataset as Dataset
    from bothways.data import open_dataset as open_dataset
    from bothways.errors import BothwaysError as BothwaysError
    from bothways.inference import TrainedClassifier as TrainedClassifier
    from bothways.inference import TrainedLabeller as TrainedLabeller
    from bothways.inference import TrainedModel as TrainedModel
    from bothways.inference import load as load
    from bothways.labeller import RecurrentLabeller as RecurrentLabeller
    from bothways.model import SequenceClassifier as SequenceClassifier
    from bothways.run import resume as resume
    from bothways.run import train as train
    from bothways.sequences import SequenceBatch as SequenceBatch
    from bothways.sequences import Sequences as Sequences

_HOME = {
    "BothwaysError": "errors",
    "DataOptions": "data",
    "Dataset": "data",
    "ModelConfig": "config",
    "RecurrentClassifier": "classifier",
    "RecurrentLabeller": "labeller",
    "SequenceBatch": "sequences",
    "SequenceClassifier": "model",
    "Sequences": "sequences",
    "TrainConfig": "config",
    "TrainedClassifier": "inference",
    "TrainedLabeller": "inference",
    "TrainedModel": "inference",
    "load": "inference",
    "open_dataset": "data",
    "resume": "run",
    "train": "run",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("bothways")
    if name not in _HOME:
        raise AttributeError(f"module 'bothways' has no attribute {name!r}")
    return getattr(import_module(f"bothways.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
