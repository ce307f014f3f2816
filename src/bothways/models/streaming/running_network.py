"""What networks have in common that continue sequences from what they carry of earlier steps."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from bothways.kernels.lengths import Lengths, valid_steps
from bothways.models.streaming.carried import Carried, named
from bothways.models.streaming.running_stem import RunningStem
from bothways.nn.classifier import SequenceClassifier
from bothways.nn.rowwise import rowwise_linear

LAYERS, STEM = "layers", "stem"
"""Prefixes of the names of what the recurrent layers and the stem carry."""


class RunningNetwork(ABC):
    """Base class of networks that continue sequences.

    Parameters
    ----------
    network : SequenceClassifier
        In eval mode, on the CPU. Its weights must not change later.

    Attributes
    ----------
    initial : dict of Tensor
        What is carried before the first step, without a batch axis.
    """

    def __init__(self, network: SequenceClassifier) -> None:
        layers = network.layers
        self._network = network
        self._stem = None if network.stem is None else RunningStem(network.stem)
        state = torch.zeros(layers.num_layers, layers.hidden_size)
        self.initial = named(LAYERS, dict.fromkeys(layers.cell.states, state))
        if self._stem is not None:
            self.initial |= named(STEM, self._stem.initial)

    def run(
        self, inputs: Tensor, lengths: Lengths, counts: Tensor, carried: Carried
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of all answers that follow from the next steps.

        Parameters
        ----------
        inputs : Tensor (batch, time, input_size)
        lengths : Lengths
        counts : int64 Tensor (batch,)
            Numbers of earlier steps.
        carried : dict of Tensor (batch, ...)
            Changed in place.

        Returns
        -------
        logits : Tensor (answers, num_classes)
            Row after row. Not divided by the temperature.
        answers : int64 Tensor (batch,)
            The number of answers of each row.
        """
        if self._network.encoder is not None:
            inputs = self._network.encoder(inputs, lengths)
        features, answers = self._run(inputs, lengths, counts, carried)
        return self._logits(features, answers), answers

    def finish(self, counts: Tensor, carried: Carried) -> tuple[Tensor, Tensor]:
        """Return the logits of the answers that are pending when sequences end.

        Parameters
        ----------
        counts : int64 Tensor (batch,)
            Numbers of steps.
        carried : dict of Tensor (batch, ...)

        Returns
        -------
        logits, answers : Tensor
            As of `run`.
        """
        features, answers = self._finish(counts, carried)
        return self._logits(features, answers), answers

    @abstractmethod
    def _run(
        self, inputs: Tensor, lengths: Lengths, counts: Tensor, carried: Carried
    ) -> tuple[Tensor, Tensor]:
        """Return features (batch, time, features_size) of the answers of `run`, and their numbers.

        `inputs` are encoded. Features past the number of a row have no meaning.
        """

    @abstractmethod
    def _finish(self, counts: Tensor, carried: Carried) -> tuple[Tensor, Tensor]:
        """Return features (batch, time, features_size) of the answers of `finish`, as `_run`."""

    def _logits(self, features: Tensor, answers: Tensor) -> Tensor:
        linear = self._network.linear
        valid = features.flatten(0, 1)
        if int(answers.sum()) < len(valid):
            valid = features[valid_steps(answers, features.shape[1]).T]
        return rowwise_linear(valid, linear.weight, linear.bias)
