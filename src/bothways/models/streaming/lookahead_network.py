"""A bidirectional network that labels steps when its lookahead has come."""

import torch
from torch import Tensor

from bothways.kernels.interface import States
from bothways.kernels.lengths import Lengths, valid_steps
from bothways.models.streaming.carried import Carried, assign, named, of_prefix, selected
from bothways.models.streaming.running_network import LAYERS, STEM, RunningNetwork
from bothways.nn.classifier import SequenceClassifier
from bothways.nn.lookahead import Chunks, limited_outputs

_STEPS, _WAITING = "steps", "waiting"


class LookaheadNetwork(RunningNetwork):
    """A labeler with a limited lookahead.

    The steps of a chunk are labeled together, when all steps of its context have come. Until then,
    what the layers read of them is kept.

    Parameters
    ----------
    network : SequenceClassifier
        See `RunningNetwork`.
    """

    def __init__(self, network: SequenceClassifier) -> None:
        super().__init__(network)
        lookahead = network.config.layer_lookahead
        assert lookahead is not None  # otherwise no step can be labeled before the end
        self._chunks = Chunks(lookahead)
        self._width = self._chunks.main_steps + self._chunks.context_steps
        self.initial[_STEPS] = torch.zeros(self._width - 1, network.layers.input_size)
        self.initial[_WAITING] = torch.zeros((), dtype=torch.int64)

    def _run(
        self, inputs: Tensor, lengths: Lengths, counts: Tensor, carried: Carried
    ) -> tuple[Tensor, Tensor]:
        new = lengths.values
        if self._stem is not None:
            inputs, new, after = self._stem.final(inputs, new, counts, of_prefix(STEM, carried))
            carried |= named(STEM, after)
        steps, available = self._joined(inputs, new, carried)
        main = self._chunks.main_steps
        final = ((available - self._chunks.context_steps) // main).clamp(min=0) * main
        features = steps.new_zeros(len(steps), int(final.max()), self._network.layers.output_size)
        for start in range(0, features.shape[1], main):
            rows = (final > start).nonzero()[:, 0]
            own = selected(carried, rows)
            window = steps[rows, start : start + self._width]
            features[rows, start : start + main] = self._labeled(
                window, torch.full_like(rows, self._width), main, own
            )
            assign(carried, rows, own)
        carried |= self._kept(steps, final, available - final)
        return features, final

    def _finish(self, counts: Tensor, carried: Carried) -> tuple[Tensor, Tensor]:
        inputs, new = carried[_STEPS][:, :0], torch.zeros_like(counts)
        if self._stem is not None:
            inputs, new = self._stem.tail(counts, of_prefix(STEM, carried))
        steps, left = self._joined(inputs, new, carried)
        features = steps.new_zeros(*steps.shape[:2], self._network.layers.output_size)
        rows = left.nonzero()[:, 0]
        if len(rows):
            own = selected(carried, rows)
            features[rows] = self._labeled(steps[rows], left[rows], steps.shape[1], own)
        return features, left

    def _joined(self, new: Tensor, lengths: Tensor, carried: Carried) -> tuple[Tensor, Tensor]:
        """Return the waiting steps and the new ones, (batch, time, features), and their numbers."""
        waiting = carried[_WAITING]
        available = waiting + lengths
        time = torch.arange(int(available.max()))
        both = torch.cat([carried[_STEPS], new], dim=1)
        is_new = time >= waiting[:, None]
        source = torch.where(is_new, time - waiting[:, None] + self._width - 1, time)
        source = source.clamp(max=both.shape[1] - 1)
        return both[torch.arange(len(both))[:, None], source], available

    def _kept(self, steps: Tensor, first: Tensor, waiting: Tensor) -> Carried:
        """Return what is carried of steps from number `first` on; zeros follow them."""
        places = first[:, None] + torch.arange(self._width - 1)
        if not steps.shape[1] or not places.shape[1]:
            found = steps.new_zeros(len(steps), self._width - 1, steps.shape[2])
        else:
            rows = torch.arange(len(steps))[:, None]
            found = steps[rows, places.clamp(max=steps.shape[1] - 1)]
        valid = valid_steps(waiting, self._width - 1).T[:, :, None]
        return {_STEPS: torch.where(valid, found, 0.0), _WAITING: waiting}

    def _labeled(self, steps: Tensor, left: Tensor, time: int, carried: Carried) -> Tensor:
        """Return the outputs of `time` steps, and carry the states of the forward direction."""
        names = self._network.layers.cell.states
        states: list[States] = [
            tuple(carried[f"{LAYERS}.{name}"][None, :, layer] for name in names)
            for layer in range(self._network.layers.num_layers)
        ]
        outputs, after = limited_outputs(
            self._network.layers, steps, left, self._chunks, lambda same: same, states, time=time
        )
        for place, name in enumerate(names):
            layers = [state[place][0] for state in after]
            carried[f"{LAYERS}.{name}"] = torch.stack(layers, dim=1)
        return outputs
