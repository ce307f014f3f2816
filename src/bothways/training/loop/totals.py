"""The totals of an epoch. Results of steps stay on the device until they are read."""

import math
import time
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from bothways.config import TrainConfig
from bothways.training.loop.loss import not_finite


class BatchResults(NamedTuple):
    """Results of a batch, on the device of the model.

    Parameters
    ----------
    loss : float32 Tensor ()
        Mean over the labels, and over the networks of an ensemble.
    hits, labeled : int64 Tensor ()
        Labels that were predicted correctly, and all labels.
    """

    loss: Tensor
    hits: Tensor
    labeled: Tensor


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
        Sequences of the steps, also of those that have not been read.
    seconds : float
        Likewise.
    last_loss : float
        Of the last step that was read, also if that was in an earlier epoch.
    """

    loss: float = 0.0
    correct: int = 0
    labeled: int = 0
    seen: int = 0
    seconds: float = 0.0
    last_loss: float = math.nan
    _pending: list[BatchResults] = field(default_factory=list, init=False, repr=False)

    @property
    def accuracy(self) -> float:
        """Fraction of the labels that were predicted correctly; 0 without labels."""
        return self.correct / max(1, self.labeled)

    def add(self, results: BatchResults, sequences: int, seconds: float) -> None:
        """Add a step of `sequences` without waiting for its results."""
        self._pending.append(results)
        self.seen += sequences
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
        self.last_loss = losses[-1]
        self._pending.clear()
        self.seconds += time.perf_counter() - started

    def state(self) -> dict[str, float]:
        """Return the totals by their names, for a checkpoint; call `read` first."""
        names = ("loss", "correct", "labeled", "seen", "seconds")
        return {name: getattr(self, name) for name in names}
