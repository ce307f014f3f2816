"""A forward network that continues sequences from what it carries of their earlier steps."""

import torch
from torch import Tensor

from bothways.kernels.lengths import Lengths, valid_steps
from bothways.models.streaming.carried import (
    Carried,
    assign,
    at_last,
    named,
    of_prefix,
    selected,
)
from bothways.models.streaming.running_readouts import running_readout
from bothways.models.streaming.running_stem import RunningStem
from bothways.nn.classifier import SequenceClassifier
from bothways.nn.rowwise import rowwise_linear

_LAYERS, _READOUT, _STEM, _FEATURES = "layers", "readout", "stem", "features"


class RunningNetwork:
    """A forward network that answers after each step.

    Parameters
    ----------
    network : SequenceClassifier
        In eval mode, on the CPU. Later changes of its weights must not happen.

    Attributes
    ----------
    initial : dict of Tensor
        What is carried before the first step, without a batch axis.

    Raises
    ------
    ConfigError
        See `RunningAttention`.
    """

    def __init__(self, network: SequenceClassifier) -> None:
        layers = network.layers
        self._network = network
        self._of_steps = network.config.target == "step"
        self._layers = layers.prepared()
        self._state_names = layers.cell.states
        self._readout = running_readout(network.readout, layers.output_size)
        self._stem = None if network.stem is None else RunningStem(network.stem)
        state = torch.zeros(layers.num_layers, layers.hidden_size)
        self.initial = named(_LAYERS, dict.fromkeys(self._state_names, state))
        self.initial |= named(_READOUT, self._readout.initial)
        if self._stem is not None:
            self.initial |= named(_STEM, self._stem.initial)
            if not self._of_steps:
                self.initial[_FEATURES] = torch.zeros(network.readout.features_size)

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
        steps = lengths.values
        if self._stem is None:
            features = self._advance(inputs, lengths, counts, carried)
        elif self._of_steps:
            features, steps = self._advance_final(self._stem, inputs, steps, counts, carried)
        else:
            features = self._answer_each(self._stem, inputs, steps, counts, carried)
        return self._logits(features, steps), steps

    def finish(self, counts: Tensor, carried: Carried) -> tuple[Tensor, Tensor]:
        """Return the logits of the answers that are pending when sequences end.

        Parameters
        ----------
        counts : int64 Tensor (batch,)
            Numbers of steps.
        carried : dict of Tensor (batch, ...)

        Returns
        -------
        logits : Tensor (answers, num_classes)
            Row after row. Not divided by the temperature.
        answers : int64 Tensor (batch,)
            The number of answers of each row.
        """
        if self._stem is None or not self._of_steps:
            return torch.empty(0, self._network.config.num_classes), torch.zeros_like(counts)
        features, lengths = self._tail(self._stem, counts, carried)
        return self._logits(features, lengths), lengths

    def _logits(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Return logits (answers, num_classes) for features (batch, time, features_size)."""
        linear = self._network.linear
        valid = features[valid_steps(lengths, features.shape[1]).T]
        return rowwise_linear(valid, linear.weight, linear.bias)

    def _advance(
        self, inputs: Tensor, lengths: Lengths, counts: Tensor, carried: Carried
    ) -> Tensor:
        """Run layers and readout; return features (batch, time, features_size) after each step.

        `counts` are the numbers of earlier inputs of the layers.
        """
        initial = tuple(carried[f"{_LAYERS}.{name}"].transpose(0, 1) for name in self._state_names)
        outputs, states = self._layers(inputs.transpose(0, 1), lengths.values_if_ragged, initial)
        features, after = self._readout.run(
            outputs.transpose(0, 1), lengths.values, counts, of_prefix(_READOUT, carried)
        )
        found = (state.transpose(0, 1) for state in states)
        carried |= named(_LAYERS, dict(zip(self._state_names, found, strict=True)))
        carried |= named(_READOUT, after)
        return features

    def _advance_final(
        self, stem: RunningStem, inputs: Tensor, lengths: Tensor, counts: Tensor, carried: Carried
    ) -> tuple[Tensor, Tensor]:
        """Run the stem, and the rest on its final outputs; return features and their lengths."""
        outputs, lengths, after = stem.final(inputs, lengths, counts, of_prefix(_STEM, carried))
        carried |= named(_STEM, after)
        features = outputs.new_zeros(*outputs.shape[:2], self._network.readout.features_size)
        rows = lengths.nonzero()[:, 0]
        if len(rows):
            own, earlier = selected(carried, rows), stem.final_counts(counts)[rows]
            checked = Lengths.of(lengths[rows], len(rows), outputs.shape[1])
            features[rows] = self._advance(outputs[rows], checked, earlier, own)
            if _FEATURES in own:
                own[_FEATURES] = at_last(features[rows], lengths[rows])
            assign(carried, rows, own)
        return features, lengths

    def _tail(self, stem: RunningStem, counts: Tensor, carried: Carried) -> tuple[Tensor, Tensor]:
        """Return the features of the outputs that would follow if sequences ended now."""
        outputs, lengths = stem.tail(counts, of_prefix(_STEM, carried))
        features = outputs.new_zeros(*outputs.shape[:2], self._network.readout.features_size)
        rows = lengths.nonzero()[:, 0]
        if len(rows):
            checked = Lengths.of(lengths[rows], len(rows), outputs.shape[1])
            own, earlier = selected(carried, rows), stem.final_counts(counts)[rows]
            features[rows] = self._advance(outputs[rows], checked, earlier, own)
        return features, lengths

    def _answer_each(
        self, stem: RunningStem, inputs: Tensor, lengths: Tensor, counts: Tensor, carried: Carried
    ) -> Tensor:
        """Return features (batch, time, features_size) as if sequences ended after each step.

        The outputs of the stem that are not final are run from the state of the final ones, which
        is kept.
        """
        time = inputs.shape[1]
        features = inputs.new_zeros(len(inputs), time, self._network.readout.features_size)
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
