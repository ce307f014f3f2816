"""What all trained models have in common."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from bothways.config import ModelConfig
from bothways.data.sequences import Sequences, as_labeled
from bothways.data.vocabulary import Vocabulary
from bothways.errors import (
    MOST_LISTED,
    BackendError,
    CheckpointError,
    ConfigError,
    DataError,
    counted,
    suggest,
)
from bothways.evaluation.evaluate import Classifier, evaluate
from bothways.evaluation.metrics import Metrics
from bothways.models.card import describe_architecture, model_card
from bothways.models.checkpoint import MODEL_FILE, save_weights
from bothways.models.inputs import checked_sequences
from bothways.models.manifest import CONFIG_FILE, Manifest
from bothways.models.single import SingleAnswers
from bothways.models.streaming import RunningModel, Stream
from bothways.nn.classifier import TorchClassifier
from bothways.nn.device import choose_device
from bothways.nn.ensemble import make_classifier
from bothways.storage.atomic import sha256, write_atomically

Floats = np.ndarray[Any, np.dtype[np.float64]]
Names = np.ndarray[Any, np.dtype[np.str_]]


class TrainedModel(ABC):
    """A model with its classes and provenance: a `TrainedClassifier` or a `TrainedLabeler`.

    Parameters
    ----------
    classifier : SequenceClassifier, Ensemble or OnnxClassifier
    manifest : Manifest

    Notes
    -----
    `sequences` below is a list of float arrays (time_i, input_size), one float array (count, time,
    input_size), a list of data frames, a pandas frame with a two-level index (sequence, time), or a
    `Sequences`. The columns of frames are matched by name. In arrays, categorical features contain
    the `token_numbers`. A ScaleWarning is issued if numeric features exceed the range in training
    by more than its width, and an UnknownTokensWarning if most categories are unknown.
    """

    def __init__(self, classifier: Classifier, manifest: Manifest) -> None:
        self._classifier = classifier
        self.manifest = manifest
        self._single: SingleAnswers | None = None
        self._is_private = False

    def keep_private(self) -> None:
        """Allow this object to prepare its network for single answers, which packs the weights.

        Call it if nobody else has the network. The permission ends when `classifier` is read,
        because the weights may change from then on.
        """
        self._is_private = True

    def __repr__(self) -> str:
        features = counted(self.manifest.model.input_size, "feature")
        classes = ", ".join(self.classes[:MOST_LISTED])
        more = ", …" if len(self.classes) > MOST_LISTED else ""
        return (
            f"{type(self).__name__}({describe_architecture(self.manifest)}; {features}; "
            f"classes {classes}{more})"
        )

    @property
    def classifier(self) -> TorchClassifier:
        """The `SequenceClassifier` or the `Ensemble`, with its weights.

        Raises
        ------
        CheckpointError
            If the model is an exported file, which only answers.
        """
        network = self._network
        self._single, self._is_private = None, False
        return network

    @property
    def _network(self) -> TorchClassifier:
        """The network, for methods of this class that do not change its weights."""
        if not isinstance(self._classifier, TorchClassifier):
            raise CheckpointError(
                "the weights of an exported model cannot be read; expected the folder of a model "
                "or run. Load the one that it was exported from."
            )
        return self._classifier

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle and `copy.deepcopy` use: all but the prepared memory."""
        return self.__dict__ | {"_single": None}

    def __copy__(self) -> Self:
        """Return a model with the same network: both give up the prepared memory."""
        self._single, self._is_private = None, False
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.manifest.classes

    def to(self, device: str | torch.device) -> Self:
        """Move the network to a device and return this model, as `torch.nn.Module.to`.

        Sequences stay on the CPU; their batches are moved to the device, and answers back.

        Parameters
        ----------
        device : auto, cpu, cuda or mps
            auto is CUDA, MPS or the CPU, in this order. An exported file runs on the CPU only.

        Raises
        ------
        BackendError
            If the device is unknown or not available, or the model is an exported file.
        """
        if isinstance(self._classifier, TorchClassifier):
            self._single = None
            self._classifier.to(choose_device(device))
        elif str(device) not in ("auto", "cpu"):
            raise BackendError(
                f"device is '{device}' but the model is an exported file, which runs on the CPU; "
                "expected auto or cpu. Load the run or model folder instead."
            )
        return self

    def set_precision(self, precision: str) -> Self:
        """Set the number format of products in the recurrent layers, and return this model.

        Parameters
        ----------
        precision : float32 or bfloat16
            bfloat16 is faster on some processors and has larger rounding errors, see
            `bothways.nn.LSTM`. A loaded model has float32, even if it was trained with bfloat16.

        Raises
        ------
        BackendError
            If the precision is unknown, or bfloat16 is not possible on this machine and device.
        CheckpointError
            If the model is an exported file.
        """
        for network in self._network.networks:
            with network.layers.with_precision(precision):
                _ = network.layers.backend_choice  # raises the error
            network.layers.precision = precision
        self._single = None
        return self

    def token_numbers(self, feature: str, names: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the numbers of categories of a feature, 0 if unknown.

        Raises
        ------
        DataError
            If the model has no such categorical feature.
        """
        vocabularies = self.manifest.preprocessing.reading.vocabularies
        if feature not in vocabularies:
            raise DataError(
                f"feature {feature!r} is not categorical; "
                f"{suggest(feature, vocabularies, 'expected one of')} "
                f"{', '.join(vocabularies) or 'none: all features are numeric'}. Check its name."
            )
        vocabulary = Vocabulary(vocabularies[feature], grows=False)
        return vocabulary.numbers(np.asarray(names)).astype(np.int64)

    def with_lookahead(self, lookahead: int | None) -> Self:
        """Return this model with another limit of how many steps ahead its layers look.

        Parameters
        ----------
        lookahead : int, optional
            In time steps, see `Architecture`; None: to the end of the sequence.

        Raises
        ------
        ConfigError
            If the model does not label time steps in both directions, or needs a larger lookahead.
        CheckpointError
            If the model is an exported file.
        """
        own = self.manifest.model
        if own.target != "step" or not own.bidirectional:
            does = "reads forward only" if own.target == "step" else "labels sequences"
            raise ConfigError(
                f"lookahead was given, but the model {does}; expected a model that labels time "
                "steps in both directions. Omit lookahead."
            )
        model = own.model_copy(update={"lookahead": lookahead})
        config = ModelConfig(**model.model_dump())
        network = make_classifier(config, backend=self._network.networks[0].layers.backend)
        for one, other in zip(network.networks, self._network.networks, strict=True):
            one.layers.precision = other.layers.precision
        network.load_state_dict(self._network.state_dict())
        network.to(next(self._network.parameters()).device)
        return type(self)(network.eval(), self.manifest.model_copy(update={"model": config}))

    @abstractmethod
    def predict_logits(self, sequences: Any) -> Any:
        """Return logits in the shape of `predict_proba`, which raises the same errors."""

    @abstractmethod
    def predict_proba(self, sequences: Any) -> Any:
        """Return probabilities, in the order of `classes`.

        Raises
        ------
        DataError, ShapeError
            If `sequences` are not floats, or do not have the features of the model.
        """

    @abstractmethod
    def predict(self, sequences: Any) -> Any:
        """Return the most probable class. Raises the errors of `predict_proba`."""

    def stream(self) -> Stream:
        """Return a `Stream`, which answers while the steps of sequences still come.

        Raises
        ------
        CheckpointError
            If the model is an exported file.
        ConfigError
            If an answer of the model depends on all steps of a sequence: if it is bidirectional, or
            has normalization `sequence` or `both`, or readout `flatten`.
        """
        return Stream(RunningModel(self._network, self.manifest))

    def evaluate(self, sequences: Sequences) -> Metrics:
        """Return the metrics on labeled `sequences`.

        Raises
        ------
        DataError, ShapeError
            As `predict_proba`; and if labels are missing, or are not those of `target`.
        """
        labeled = as_labeled(sequences, "the sequences", self.manifest.model.target)
        self._checked(labeled)
        return evaluate(self._classifier, labeled, self.classes)

    def save(self, folder: str | Path) -> None:
        """Write the model to `folder`, which is created if it does not exist.

        Raises
        ------
        CheckpointError
            If the model is an exported file.
        OSError
            If it cannot be written.
        """
        folder, weights = Path(folder), self._network.state_dict()
        folder.mkdir(parents=True, exist_ok=True)
        content = self.manifest.to_bytes()
        write_atomically(folder / CONFIG_FILE, content)
        save_weights(folder / MODEL_FILE, sha256(content), weights)
        write_atomically(folder / "README.md", model_card(self.manifest).encode())

    def _checked(self, data: Any) -> Sequences:
        return checked_sequences(data, self.manifest)

    def _single_logits(self, data: Any) -> Tensor | None:
        """Return the logits of one sequence, or None if the general path must compute them."""
        single = self._single
        if single is None:
            classifier = self._classifier
            if not (
                self._is_private
                and isinstance(classifier, TorchClassifier)
                and SingleAnswers.are_possible(classifier, self.manifest)
            ):
                return None
            single = self._single = SingleAnswers(classifier, self.manifest)
        return single.logits(data)

    def _names(self, logits: Tensor) -> Names:
        """Return the most probable class of each row."""
        return np.array([self.classes[n] for n in logits.argmax(dim=1).tolist()], dtype=np.str_)
