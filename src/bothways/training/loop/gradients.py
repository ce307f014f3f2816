"""The gradients of a batch, from its sequences to the weights."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor

from bothways.config import TrainConfig
from bothways.data.batching import IGNORED, LabeledBatch
from bothways.data.sequences import LabeledSequences
from bothways.kernels.draws import DEFAULT_DRAWS, Draws
from bothways.nn.classifier import SequenceClassifier, TorchClassifier
from bothways.nn.ensemble import average_logits
from bothways.training.loop.augmentation import augment
from bothways.training.loop.device import layers_precision
from bothways.training.loop.direct import DirectGradients
from bothways.training.loop.flat_weights import FlatWeights
from bothways.training.loop.loss import Loss
from bothways.training.loop.processes import Processes
from bothways.training.loop.totals import BatchResults


class Gradients:
    """Computes the gradients of a model for one batch after the other.

    Parameters
    ----------
    model : TorchClassifier
        The networks of an ensemble have their own losses and their own clipping.
    config : TrainConfig
    class_weights : Tensor (num_classes,), optional
        Of the classes in the loss.
    generator : torch.Generator
        Of dropout, jitter, random initial states and augmentation; on the device of the model.
    processes : Processes
        Those that divide each batch among them.
    flat : FlatWeights, optional
        Of a model whose networks are all plain (`is_plain`). While they are, `DirectGradients`
        computes the gradients, with the same results to rounding.
    """

    def __init__(
        self,
        model: TorchClassifier,
        config: TrainConfig,
        class_weights: Tensor | None,
        generator: torch.Generator,
        processes: Processes,
        flat: FlatWeights | None,
    ) -> None:
        self._model = model
        self._config = config
        self._device = generator.device
        weights = None if class_weights is None else class_weights.to(self._device)
        self._loss = Loss(weights, config.label_smoothing)
        self._draws = Draws(generator)
        self._processes = processes
        self._norms: list[Tensor] = []
        self._flat = flat
        self._direct: list[DirectGradients] = []
        if flat is not None:
            flat.attach()
            precision = layers_precision(config, self._device)
            for network in model.networks:
                self._direct.append(DirectGradients(network, self._loss, precision))

    @property
    def norm(self) -> float | None:
        """Norm of all gradients of the last batch, before clipping; the mean over the networks.

        None before the first batch, and unless `gradient_clip` or `tensorboard` is set.
        """
        return torch.stack(self._norms).mean().item() if self._norms else None

    @contextmanager
    def own_draws(self) -> Iterator[None]:
        """Within this context, the model draws its random numbers from the generator."""
        self._model.draw_from(self._draws)
        try:
            yield
        finally:
            self._model.draw_from(DEFAULT_DRAWS)

    def own_part(self, sequences: LabeledSequences, rows: Tensor) -> LabeledBatch:
        """Return what this process computes of a batch, padded as the whole batch."""
        if self._processes.count == 1:
            return sequences.batch(rows)
        lengths = sequences.lengths[rows]
        own = self._processes.own_rows(lengths)
        self._draws.rows, self._draws.batch_size = own, len(rows)
        if len(own):
            return sequences.batch(rows[own]).padded_to(int(lengths.max()))
        self._draws.rows = torch.tensor([0])  # there are fewer rows than processes
        return sequences.batch(rows[:1]).padded_to(int(lengths.max())).without_labels()

    def compute(self, batch: LabeledBatch) -> BatchResults:
        """Compute the gradients of a batch, of which `batch` is this process's part, in `grad`."""
        batch = batch.to(self._device)
        if self._config.active_augmentations:
            batch = augment(batch, self._config, self._model.config, self._draws)
        labeled = self._processes.total((batch.labels != IGNORED).sum())
        if self._prepare_direct():
            results = [direct(batch, labeled) for direct in self._direct]
        else:
            self._model.zero_grad()
            results = [self._by_autograd(n, batch, labeled) for n in self._model.networks]
        logits, losses = zip(*results, strict=True)
        hits = (average_logits(logits).argmax(dim=-1) == batch.labels).sum()
        loss, hits = self._add_processes(torch.stack(losses).mean(), hits)
        self._clip()
        return BatchResults(loss, hits, labeled)

    def _prepare_direct(self) -> bool:
        """Return whether the gradients can be computed directly now, and prepare it.

        Between two steps, the caller may have changed anything.
        """
        if self._flat is None:
            return False
        if all(direct.is_possible for direct in self._direct):
            if not self._flat.are_attached:
                self._flat.attach()
            return True
        self._flat.detach()
        return False

    def _by_autograd(
        self, network: SequenceClassifier, batch: LabeledBatch, labeled: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute the gradients of a network; return its logits and its loss.

        Parameters
        ----------
        network : SequenceClassifier
        batch : LabeledBatch
        labeled : int64 Tensor ()
            Labels of the whole batch.
        """
        with self._precision(network):
            logits = network(batch.inputs, batch.lengths).float()
        loss = self._loss(logits, batch, labeled)
        loss.backward()
        return logits.detach(), loss.detach()

    def _add_processes(self, loss: Tensor, hits: Tensor) -> tuple[Tensor, Tensor]:
        """Add the gradients of all processes, and return the sums of their losses and hits."""
        if self._processes.count == 1:
            return loss, hits
        numbers = torch.stack([loss, hits.to(loss.dtype)])
        loss, hits = self._processes.add_gradients(self._model.parameters(), numbers)
        return loss, hits.long()

    def _clip(self) -> None:
        """Clip the gradients of each network if the settings say so, and keep their norms."""
        self._norms.clear()
        for network in self._model.networks:
            if self._config.gradient_clip is not None:
                limit = self._config.gradient_clip
                norm = torch.nn.utils.clip_grad_norm_(network.parameters(), limit)
                self._norms.append(norm)
            elif self._config.tensorboard:
                weights = network.parameters()
                gradients = [weight.grad for weight in weights if weight.grad is not None]
                self._norms.append(torch.nn.utils.get_total_norm(gradients))

    def _precision(self, network: SequenceClassifier) -> AbstractContextManager[Any]:
        """Return a context in which `network` computes with the precision of the settings."""
        if self._config.precision == "bfloat16" and self._device.type != "cpu":
            return torch.autocast(self._device.type, torch.bfloat16)
        return network.layers.with_precision(layers_precision(self._config, self._device))
