"""The totals of an epoch. Results of steps stay on the device until they are read."""

import math
import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bothways.config import TrainConfig
from bothways.training.loop.loss import not_finite


@dataclass(frozen=True)
class _PendingStep:
    """Results of a step that have not been copied from the device."""

    loss: Tensor
    hits: Tensor
    labeled: Tensor
    sequences: int


@dataclass
class EpochTotals:
    """Totals over the steps of an epoch that have been read.

    Parameters
    ----------
    loss : float
        Sum of the losses of the steps.
    correct, labeled : int
        Labels that were predicted correctly, and all labels.
    seen : int
        Sequences.
    seconds : float
        Of the steps, also of those that have not been read.
    last_loss : float
        Of the last step that was read, also if that was in an earlier epoch.
    """

    loss: float = 0.0
    correct: int = 0
    labeled: int = 0
    seen: int = 0
    seconds: float = 0.0
    last_loss: float = math.nan
    _pending: list[_PendingStep] = field(default_factory=list, init=False, repr=False)

    @property
    def accuracy(self) -> float:
        """Fraction of the labels that were predicted correctly; 0 without labels."""
        return self.correct / max(1, self.labeled)

    def add(
        self, loss: Tensor, hits: Tensor, labeled: Tensor, sequences: int, seconds: float
    ) -> None:
        """Add a step without waiting for its results.

        Parameters
        ----------
        loss : Tensor
            Mean loss of the step.
        hits, labeled : Tensor
            Labels that were predicted correctly, and all labels.
        sequences : int
        seconds : float
        """
        self._pending.append(_PendingStep(loss, hits, labeled, sequences))
        self.seconds += seconds

    def read(self, epoch: int, step: int, config: TrainConfig) -> None:
        """Copy the results of all steps that were added from the device, and check the losses.

        Parameters
        ----------
        epoch, step : int
            The last step that was added, from 1; for the error.
        config : TrainConfig
            For the error.

        Raises
        ------
        NonFiniteLossError
            If a loss is NaN or infinite.
        """
        if not self._pending:
            return
        started = time.perf_counter()  # a GPU finishes the steps here
        losses = torch.stack([pending.loss for pending in self._pending]).tolist()
        for n, loss in enumerate(losses, start=step - len(losses) + 1):
            if not math.isfinite(loss):
                raise not_finite(f"loss is {loss}", "a finite number", epoch, n, config)
            self.loss += loss  # one by one: the sum does not depend on when it is read
        self.correct += int(torch.stack([pending.hits for pending in self._pending]).sum())
        self.labeled += int(torch.stack([pending.labeled for pending in self._pending]).sum())
        self.seen += sum(pending.sequences for pending in self._pending)
        self.last_loss = losses[-1]
        self._pending.clear()
        self.seconds += time.perf_counter() - started

    def state(self) -> dict[str, float]:
        """Return the totals that have been read, by their names, for a checkpoint."""
        names = ("loss", "correct", "labeled", "seen", "seconds")
        return {name: getattr(self, name) for name in names}
