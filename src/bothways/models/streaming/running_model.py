"""A trained model that continues sequences from their states, for one or more streams."""

import copy
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from bothways.kernels.lengths import Lengths
from bothways.models.manifest import Manifest
from bothways.models.streaming.carried import Carried, named, of_prefix
from bothways.models.streaming.chunks import ChunkReader
from bothways.models.streaming.forward_network import ForwardNetwork
from bothways.models.streaming.lookahead_network import LookaheadNetwork
from bothways.models.streaming.streamable import check_streamable
from bothways.nn.classifier import TorchClassifier
from bothways.nn.ensemble import average_logits
from bothways.storage.tensors import checksum

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

_COUNT = "count"


class RunningModel:
    """The networks of a trained model, with what their answers have in common.

    Parameters
    ----------
    classifier : SequenceClassifier or Ensemble
        Copied to the CPU, in eval mode.
    manifest : Manifest

    Attributes
    ----------
    initial : dict of Tensor
        The state of a sequence without steps, without a batch axis.
    reader : ChunkReader

    Raises
    ------
    ConfigError
        If an answer of the model depends on all steps of a sequence.
    """

    def __init__(self, classifier: TorchClassifier, manifest: Manifest) -> None:
        check_streamable(manifest.model)
        self._classifier = copy.deepcopy(classifier).cpu().eval().requires_grad_(False)
        self.manifest = manifest
        self.reader = ChunkReader(manifest)
        kind = ForwardNetwork if manifest.model.lookahead is None else LookaheadNetwork
        self._networks = [kind(network) for network in self._classifier.networks]
        self.initial: Carried = {_COUNT: torch.zeros((), dtype=torch.int64)}
        for n, network in enumerate(self._networks):
            self.initial |= named(f"{n}", network.initial)

    @cached_property
    def sha256(self) -> str:
        """Checksum of the weights and of the manifest."""
        config = self.manifest.to_bytes().decode()
        return checksum(self._classifier.state_dict(), {"config": config})

    def run(self, inputs: Tensor, lengths: Lengths, carried: Carried) -> list[Floats]:
        """Return the probabilities (answers_i, num_classes) that follow from the next steps.

        Parameters
        ----------
        inputs : Tensor (batch, time, input_size)
        lengths : Lengths
        carried : dict of Tensor (batch, ...)
            The states, which are changed in place.
        """
        counts = carried[_COUNT]
        found = []
        for n, network in enumerate(self._networks):
            own = of_prefix(f"{n}", carried)
            logits, answers = network.run(inputs, lengths, counts, own)
            carried |= named(f"{n}", own)
            found.append(logits)
        carried[_COUNT] = counts + lengths.values
        return self._answers(found, answers)

    def finish(self, carried: Carried) -> list[Floats]:
        """Return the probabilities (answers_i, num_classes) that are pending in some states."""
        found = [
            network.finish(carried[_COUNT], of_prefix(f"{n}", carried))
            for n, network in enumerate(self._networks)
        ]
        return self._answers([logits for logits, _ in found], found[0][1])

    def _answers(self, logits: list[Tensor], counts: Tensor) -> list[Floats]:
        """Return the probabilities of each row, from logits (answers, num_classes) per network."""
        averaged = self._classifier.calibrated(average_logits(logits))
        probabilities = averaged.double().softmax(dim=-1).numpy()
        if len(probabilities) == len(counts) and int(counts.max()) == 1:  # one step each
            return list(probabilities[:, None])
        ends = counts.cumsum(0).tolist()
        return [probabilities[start:end] for start, end in pairwise([0, *ends])]
