"""What a model answers while it reads a sequence, from the start and from the end.

>>> import torch
>>> from bothways.config import ModelConfig
>>> classifier = SequenceClassifier(ModelConfig(input_size=3, num_classes=2, hidden_size=4)).eval()
>>> played = play(classifier, torch.rand(5, 3))
>>> played.counts.tolist(), played.forward.shape, bool((played.forward[-1] == played.whole).all())
([1, 2, 3, 4, 5], (5, 2), True)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.data.sequences import Sequences
from bothways.evaluation.evaluate import compute_features, compute_logits
from bothways.nn.classifier import SequenceClassifier, TorchClassifier
from bothways.nn.ensemble import average_logits
from bothways.nn.pooling import Combined, Flatten

Array = np.ndarray[Any, np.dtype[np.float64]]

STEP_BUDGET = 60_000
"""Time steps that a playback runs the model on, unless 8 answers in each direction need more."""

_LEAST_COUNTS = 8


@dataclass(frozen=True)
class Playback:
    """The answers of a model to the first steps and to the last steps of a sequence.

    Parameters
    ----------
    counts : int64 array (answers,)
        Numbers of steps read, increasing, from 1 to the length of the sequence.
    forward : float64 array (answers, num_classes)
        Probabilities after the first `counts[n]` steps: of the sequence, or, if the model labels
        time steps, of the last step that was read.
    backward : float64 array (answers, num_classes)
        Probabilities after the last `counts[n]` steps: of the sequence, or of the first of these
        steps. With readout flatten, the steps keep their place in the sequence.
    whole : float64 array (num_classes,), or (time, num_classes) if the model labels time steps
        Probabilities after the whole sequence.
    forward_parts, backward_parts : float64 array (answers, 2, num_classes), optional
        The contributions of the forward and of the backward direction to the logits of each answer
        in `forward` and `backward`; with the bias of the linear layer, they add up to the logits.
        Only for single networks that are bidirectional and label sequences.
    """

    counts: np.ndarray[Any, np.dtype[np.int64]]
    forward: Array
    backward: Array
    whole: Array
    forward_parts: Array | None = None
    backward_parts: Array | None = None

    @property
    def forward_settled(self) -> int:
        """Number of first steps after which the most probable class no longer changes."""
        return _settled(self.counts, self.forward)

    @property
    def backward_settled(self) -> int:
        """Number of last steps after which the most probable class no longer changes."""
        return _settled(self.counts, self.backward)


def play(classifier: TorchClassifier, steps: Tensor) -> Playback:
    """Run a model on the beginnings and the ends of a sequence, all in one ragged batch.

    Parameters
    ----------
    classifier : SequenceClassifier or Ensemble
    steps : float32 Tensor (time, input_size)

    Returns
    -------
    Playback
        With an answer for each number of steps. If that takes more than `STEP_BUDGET` steps in
        total, `counts` are spread evenly, and always include 1 and `time`; there are at least 8.
    """
    time = len(steps)
    counts = _counts(time)
    starts = torch.cat([torch.zeros_like(counts), time - counts])
    parts = Sequences(steps, starts, counts.repeat(2))
    contributions = None
    config, networks = classifier.config, classifier.networks
    if config.target == "step":
        logits = compute_logits(classifier, parts).double()
    else:
        features = [_at_place(own, compute_features(own, parts), starts) for own in networks]
        logits = _logits(classifier, features)
        if config.bidirectional and len(networks) == 1:
            contributions = _contributions(networks[0], features[0])
    if config.target == "step":
        ends = parts.lengths.cumsum(0)
        whole = logits[ends[len(counts) - 1] - time : ends[len(counts) - 1]]
        last_of_first = ends[: len(counts)] - 1
        first_of_last = ends[len(counts) :] - counts
        logits = logits[torch.cat([last_of_first, first_of_last])]
    else:
        whole = logits[len(counts) - 1]
    forward, backward = logits.softmax(dim=-1).numpy().reshape(2, len(counts), -1)
    return Playback(
        counts.numpy(),
        forward,
        backward,
        whole.softmax(dim=-1).numpy(),
        *(() if contributions is None else contributions),
    )


def steps_of_playback(time: int) -> int:
    """Return how many time steps `play` runs the model on for a sequence of `time` steps."""
    return 2 * int(_counts(time).sum())


def _at_place(network: SequenceClassifier, features: Tensor, starts: Tensor) -> Tensor:
    """With readout flatten, move the features of parts to where these are in the sequence."""
    readout = network.readout
    poolings = readout.poolings if isinstance(readout, Combined) else [readout]
    own = features.split([pooling.features_size for pooling in poolings], dim=1)
    return torch.cat(
        [
            pooling.moved(found, starts) if isinstance(pooling, Flatten) else found
            for pooling, found in zip(poolings, own, strict=True)
        ],
        dim=1,
    )


def _counts(time: int) -> Tensor:
    """Return the numbers of steps after which the model is asked."""
    if time * (time + 1) <= STEP_BUDGET:
        return torch.arange(1, time + 1)
    some = max(_LEAST_COUNTS, STEP_BUDGET // time)
    return torch.from_numpy(np.unique(np.linspace(1, time, some).round().astype(np.int64)))


def _logits(classifier: TorchClassifier, features: Sequence[Tensor]) -> Tensor:
    """Return the logits for features (answers, features_size) of each network."""
    with torch.inference_mode():
        found = [
            network.linear(own.to(network.linear.weight.device))
            for network, own in zip(classifier.networks, features, strict=True)
        ]
        return classifier.calibrated(average_logits(found)).cpu().double()


def _contributions(network: SequenceClassifier, features: Tensor) -> Array:
    """Return what each direction adds to the logits, (2, answers, 2, num_classes)."""
    blocks = (-1, 2, network.config.hidden_size)  # each readout concatenates both directions
    with torch.inference_mode():
        weight = network.linear.weight.cpu().double().unflatten(1, blocks)
        found = torch.einsum("nbdh,kbdh->ndk", features.double().unflatten(1, blocks), weight)
        if network.config.calibrate:
            found = found / network.temperature.cpu().double()
    answers: Array = found.unflatten(0, (2, -1)).numpy()
    return answers


def _settled(counts: np.ndarray[Any, np.dtype[np.int64]], probabilities: Array) -> int:
    best = probabilities.argmax(axis=1)
    changes = np.flatnonzero(best[1:] != best[:-1])
    return int(counts[changes[-1] + 1 if len(changes) else 0])
