"""The training loop; its state can be saved and restored at any step."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bothways.config import ModelConfig, TrainConfig
from bothways.data.batching import LabeledBatch, padding_waste
from bothways.data.sequences import LabeledSequences
from bothways.evaluation.evaluate import accuracy_and_loss
from bothways.nn.classifier import TorchClassifier
from bothways.nn.initialization import new_classifier
from bothways.training.loop.direct import is_plain
from bothways.training.loop.epochs import Epochs
from bothways.training.loop.events import EpochDone, StepDone
from bothways.training.loop.flat_weights import FlatWeights
from bothways.training.loop.gradients import Gradients
from bothways.training.loop.loss import class_weights, not_finite
from bothways.training.loop.optimizers import Optimizer, learning_rate_at
from bothways.training.loop.processes import ALONE, Processes
from bothways.training.loop.totals import EpochTotals


@dataclass(frozen=True)
class Best:
    """The best epoch so far, by validation accuracy, then validation loss."""

    epoch: int
    accuracy: float
    loss: float


class Training:
    """The training of a model; its state can be saved and restored at any step.

    Parameters
    ----------
    model : TorchClassifier
        Trained in place, on its device. The networks of an ensemble are trained on the same
        batches, each by its own loss and with its own clipping of gradients.
    sequences : LabeledSequences
    config : TrainConfig
    validation : LabeledSequences, optional
        Chooses the epoch whose weights `chosen_weights` returns.
    generator : torch.Generator, optional
        Generator of dropout, jitter, random initial states and augmentation, on the device of the
        model; default: a new one, seeded with `config.seed`. Its state is part of a checkpoint.
    processes : Processes
        Those that divide each batch among them.

    Attributes
    ----------
    model : TorchClassifier
        With the weights of the last step.
    config : TrainConfig
    epoch, step : int
        Completed epochs, and completed steps of the current epoch.
    best : Best, optional
        The best epoch so far; None without validation, and before the end of the first epoch.
    """

    def __init__(
        self,
        model: TorchClassifier,
        sequences: LabeledSequences,
        config: TrainConfig,
        validation: LabeledSequences | None = None,
        generator: torch.Generator | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self._device = next(model.parameters()).device
        if generator is None:
            generator = torch.Generator(self._device).manual_seed(config.seed)
        self._generator = generator
        self._processes = processes
        self.model = model
        self.config = config
        self.epoch = 0
        self.step = 0
        self.best: Best | None = None
        weights = class_weights(config, sequences, model.config.num_classes)
        plain = all(map(is_plain, model.networks))
        self._flat = FlatWeights(model.parameters()) if plain else None
        self._gradients = Gradients(model, config, weights, generator, processes, self._flat)
        self._epochs = Epochs(sequences, config)
        self._validation = validation
        self._optimizer = Optimizer(config, model.parameters(), self._flat)
        self._average = None
        if config.average_decay is not None:
            average = get_ema_multi_avg_fn(config.average_decay)
            self._average = AveragedModel(model, multi_avg_fn=average)
        self._best_weights: dict[str, Tensor] = {}
        self._totals = EpochTotals()

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or `patience` epochs brought no improvement."""
        if self.epoch >= self._epochs.num_epochs:
            return True
        if self.config.patience is None or self.best is None:
            return False
        return self.epoch - self.best.epoch >= self.config.patience

    @property
    def global_step(self) -> int:
        """Completed steps of all epochs."""
        return self._epochs.global_step(self.epoch, self.step)

    @property
    def learning_rate(self) -> float:
        """Learning rate of the last completed step, or of the first step."""
        return self._rate_of(max(0, self.global_step - 1))

    def events(self) -> Iterator[StepDone | EpochDone]:
        """Train to the end; yield after each step and each epoch.

        The state may be saved after any event.

        Raises
        ------
        NonFiniteLossError
            If a loss was NaN or infinite; raised when the losses are copied from the device.
        """
        try:
            with self._gradients.own_draws():
                while not self.finished:
                    batches = self._epochs.batches(self.epoch)
                    self.model.train()
                    seen = sum(len(rows) for _, rows in batches[: self.step])
                    for sequences, rows in batches[self.step :]:
                        self._take_step(self._gradients.own_part(sequences, rows), len(rows))
                        seen += len(rows)
                        self.step += 1
                        yield StepDone(
                            self.epoch + 1,
                            self.step,
                            len(batches),
                            seen,
                            self._epochs.sequences_per_epoch,
                        )
                    yield self._end_epoch(batches)
        finally:
            if self._flat is not None:
                self._flat.detach()

    def loss(self) -> float:
        """Return the loss of the last step, and check all losses since the last call.

        Raises
        ------
        NonFiniteLossError
            If one of them was NaN or infinite.
        """
        self._read_totals()
        return self._totals.last_loss

    @property
    def gradient_norm(self) -> float | None:
        """Norm of all gradients of the last step, before clipping; None if it is not computed."""
        return self._gradients.norm

    @property
    def running_accuracy(self) -> float:
        """Accuracy on the training batches of the current epoch, up to the last call of `loss`."""
        return self._totals.accuracy

    def chosen_weights(self) -> dict[str, Tensor]:
        """Return the weights of the best epoch or, without validation, the last weights."""
        return self._best_weights or self._evaluated_model().state_dict()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and other values from which `restore` continues the training exactly.

        Raises
        ------
        NonFiniteLossError
            If the loss or a weight has become NaN or infinite.
        """
        self._read_totals()
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise not_finite(
                "a weight is NaN or infinite",
                "finite weights",
                self.epoch + 1,
                self.step,
                self.config,
            )
        tensors |= {f"optimizer.{n}": tensor for n, tensor in self._optimizer.state().items()}
        if self._average is not None:
            tensors |= {f"average.{n}": tensor for n, tensor in self._average.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self._best_weights.items()}
        tensors[f"random.{self._device.type}"] = self._generator.get_state()
        facts = {
            "epoch": self.epoch,
            "step": self.step,
            "totals": self._totals.state(),
            "best": None if self.best is None else asdict(self.best),
        }
        return tensors, facts

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Restore the `state` of a `Training` of the same model, data and config."""
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = tensor
        self.model.load_state_dict(parts["model"])
        if self._average is not None:
            self._average.load_state_dict(parts["average"])
        self._optimizer.restore(parts.get("optimizer", {}))
        self._best_weights = {n: t.to(self._device) for n, t in parts.get("best", {}).items()}
        self._generator.set_state(parts["random"][self._device.type])
        self.epoch, self.step = facts["epoch"], facts["step"]
        self._totals = EpochTotals(**facts["totals"])
        self.best = None if facts["best"] is None else Best(**facts["best"])

    def _take_step(self, batch: LabeledBatch, num_sequences: int) -> None:
        """Take an optimizer step with this process's part of a batch of `num_sequences`."""
        started = time.perf_counter()
        results = self._gradients.compute(batch)
        self._optimizer.step(self._rate_of(self.global_step))
        if self._average is not None:
            self._average.update_parameters(self.model)
        self._totals.add(results, num_sequences, time.perf_counter() - started)

    def _rate_of(self, step: int) -> float:
        return learning_rate_at(self.config, step, self._epochs.total_steps)

    def _read_totals(self) -> None:
        self._totals.read(self.epoch + 1, self.step, self.config)

    def _end_epoch(self, batches: list[tuple[LabeledSequences, Tensor]]) -> EpochDone:
        self._read_totals()
        totals, rate = self._totals, self.learning_rate
        accuracy = loss = None
        self.epoch += 1
        if self._validation is not None:
            validation = self._validation
            accuracy, loss = self._processes.from_first(
                lambda: accuracy_and_loss(self._evaluated_model(), validation)
            )
            better = self.best is None or (accuracy, -loss) > (self.best.accuracy, -self.best.loss)
            if better:
                self.best = Best(self.epoch, accuracy, loss)
                weights = self._evaluated_model().state_dict()
                self._best_weights = {name: tensor.clone() for name, tensor in weights.items()}
        self.step = 0
        self._totals = EpochTotals(last_loss=totals.last_loss)
        return EpochDone(
            epoch=self.epoch,
            step=len(batches),
            loss=totals.loss / len(batches),
            accuracy=totals.accuracy,
            learning_rate=rate,
            seconds=totals.seconds,
            sequences_per_second=totals.seen / totals.seconds,
            padding_waste=padding_waste(sequences.lengths[rows] for sequences, rows in batches),
            validation_loss=loss,
            validation_accuracy=accuracy,
        )

    def _evaluated_model(self) -> TorchClassifier:
        if self._average is None:
            return self.model
        return cast(TorchClassifier, self._average.module)


def start_training(
    model_config: ModelConfig,
    config: TrainConfig,
    sequences: LabeledSequences,
    validation: LabeledSequences | None = None,
    device: torch.device | None = None,
    processes: Processes = ALONE,
) -> Training:
    """Return the training of a new model; `config.seed` determines all its random numbers.

    Torch's default generators are not used, because all threads of a process share them. The
    initial weights are drawn on the CPU; on another device, the training draws from a generator of
    that device with the same seed.
    """
    generator = torch.Generator().manual_seed(config.seed)
    model = new_classifier(model_config, generator, backend=config.backend)
    encoders = [network.encoder for network in model.networks if network.encoder is not None]
    if encoders:
        encoders[0].fit(lambda: (chunk.steps for chunk in sequences.chunks()))
    for encoder in encoders[1:]:
        encoder.copy_statistics(encoders[0])
    if model.config.stem_channels is not None:
        first, rows = Epochs(sequences, config).batches(0)[0]
        batch = first.batch(rows)
        for network in model.networks:
            network.start_stem(batch.inputs, batch.lengths)
    model.to(device)
    on_its_device = next(model.parameters()).device == generator.device
    own_generator = generator if on_its_device else None
    return Training(model, sequences, config, validation, own_generator, processes)
