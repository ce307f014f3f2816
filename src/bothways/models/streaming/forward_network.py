"""A forward network that answers after each step."""

import torch
from torch import Tensor

from bothways.kernels.lengths import Lengths
from bothways.models.streaming.carried import (
    Carried,
    assign,
    at_last,
    named,
    of_prefix,
    selected,
)
from bothways.models.streaming.running_network import LAYERS, STEM, RunningNetwork
from bothways.models.streaming.running_readouts import running_readout
from bothways.models.streaming.running_stem import RunningStem
from bothways.nn.classifier import SequenceClassifier

_READOUT, _FEATURES = "readout", "features"


class ForwardNetwork(RunningNetwork):
    """A network that reads forward only, and answers after each step.

    Parameters
    ----------
    network : SequenceClassifier
        See `RunningNetwork`.

    Raises
    ------
    ConfigError
        See `RunningAttention`.
    """

    def __init__(self, network: SequenceClassifier) -> None:
        super().__init__(network)
        layers, readout = network.layers, network.readout
        self._of_steps = network.config.target == "step"
        self._layers = layers.prepared()
        self._state_names = layers.cell.states
        self._readout = running_readout(readout, layers.output_size)
        self._features_size = readout.features_size
        self.initial |= named(_READOUT, self._readout.initial)
        if self._stem is not None and not self._of_steps:
            self.initial[_FEATURES] = torch.zeros(self._features_size)

    def _run(
        self, inputs: Tensor, lengths: Lengths, counts: Tensor, carried: Carried
    ) -> tuple[Tensor, Tensor]:
        if self._stem is None:
            return self._advance(inputs, lengths, counts, carried), lengths.values
        if self._of_steps:
            return self._advance_final(self._stem, inputs, lengths.values, counts, carried)
        features = self._answer_each(self._stem, inputs, lengths.values, counts, carried)
        return features, lengths.values

    def _finish(self, counts: Tensor, carried: Carried) -> tuple[Tensor, Tensor]:
        if self._stem is None or not self._of_steps:
            return torch.empty(len(counts), 0, self._features_size), torch.zeros_like(counts)
        return self._tail(self._stem, counts, carried)

    def _advance(
        self, inputs: Tensor, lengths: Lengths, counts: Tensor, carried: Carried
    ) -> Tensor:
        """Run layers and readout; return features (batch, time, features_size) after each step.

        `counts` are the numbers of earlier inputs of the layers.
        """
        initial = tuple(carried[f"{LAYERS}.{name}"].transpose(0, 1) for name in self._state_names)
        outputs, states = self._layers(inputs.transpose(0, 1), lengths.values_if_ragged, initial)
        features, after = self._readout.run(
            outputs.transpose(0, 1), lengths.values, counts, of_prefix(_READOUT, carried)
        )
        found = (state.transpose(0, 1) for state in states)
        carried |= named(LAYERS, dict(zip(self._state_names, found, strict=True)))
        carried |= named(_READOUT, after)
        return features

    def _advance_final(
        self, stem: RunningStem, inputs: Tensor, lengths: Tensor, counts: Tensor, carried: Carried
    ) -> tuple[Tensor, Tensor]:
        """Run the stem, and the rest on its final outputs; return features and their lengths."""
        outputs, lengths, after = stem.final(inputs, lengths, counts, of_prefix(STEM, carried))
        carried |= named(STEM, after)
        features, rows, own = self._continued(stem, outputs, lengths, counts, carried)
        if _FEATURES in own:
            own[_FEATURES] = at_last(features[rows], lengths[rows])
        assign(carried, rows, own)
        return features, lengths

    def _tail(self, stem: RunningStem, counts: Tensor, carried: Carried) -> tuple[Tensor, Tensor]:
        """Return the features of the outputs that would follow if sequences ended now."""
        outputs, lengths = stem.tail(counts, of_prefix(STEM, carried))
        features, _, _ = self._continued(stem, outputs, lengths, counts, carried)
        return features, lengths

    def _continued(
        self, stem: RunningStem, outputs: Tensor, lengths: Tensor, counts: Tensor, carried: Carried
    ) -> tuple[Tensor, Tensor, Carried]:
        """Run layers and readout on the next outputs of the stem, of which some rows have none.

        Parameters
        ----------
        stem : RunningStem
        outputs : Tensor (batch, most outputs, stem_channels)
        lengths : int64 Tensor (batch,)
            How many there are; maybe 0.
        counts : int64 Tensor (batch,)
            Numbers of steps that the stem had read before these outputs.
        carried : dict of Tensor (batch, ...)

        Returns
        -------
        features : Tensor (batch, most outputs, features_size)
        rows : int64 Tensor (some,)
            The rows that have outputs.
        carried : dict of Tensor (some, ...)
            Of these rows, after the outputs; empty if there are no such rows.
        """
        features = outputs.new_zeros(*outputs.shape[:2], self._features_size)
        rows = lengths.nonzero()[:, 0]
        own: Carried = {}
        if len(rows):
            own, earlier = selected(carried, rows), stem.final_counts(counts)[rows]
            checked = Lengths.of(lengths[rows], len(rows), outputs.shape[1])
            features[rows] = self._advance(outputs[rows], checked, earlier, own)
        return features, rows, own

    def _answer_each(
        self, stem: RunningStem, inputs: Tensor, lengths: Tensor, counts: Tensor, carried: Carried
    ) -> Tensor:
        """Return features (batch, time, features_size) as if sequences ended after each step.

        The outputs of the stem that are not final are run from the state of the final ones, which
        is kept.
        """
        time = inputs.shape[1]
        features = inputs.new_zeros(len(inputs), time, self._features_size)
        for step in range(time):
            rows = (lengths > step).nonzero()[:, 0]
            own, earlier = selected(carried, rows), counts[rows] + step
            ones = torch.ones_like(rows)
            self._advance_final(stem, inputs[rows, step, None], ones, earlier, own)
            found, ends = self._tail(stem, earlier + 1, own)
            answer = own[_FEATURES].clone()
            open_rows = ends.nonzero()[:, 0]
            if len(open_rows):
                answer[open_rows] = at_last(found[open_rows], ends[open_rows])
            features[rows, step] = answer
            assign(carried, rows, own)
        return features
