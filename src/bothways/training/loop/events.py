"""What a training reports while it runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StepDone:
    """A completed step.

    Parameters
    ----------
    epoch, step : int
        From 1.
    steps : int
        Steps of an epoch.
    seen : int
        Sequences of the epoch so far.
    sequences : int
        Sequences of an epoch.
    """

    epoch: int
    step: int
    steps: int
    seen: int
    sequences: int


@dataclass(frozen=True)
class EpochDone:
    """A completed epoch, as in the history.

    Parameters
    ----------
    epoch, step : int
        The epoch, from 1, and its number of steps.
    loss, accuracy : float
        Over the training batches of the epoch, while the weights change.
    learning_rate : float
        Of the last step.
    seconds : float
        Without validation.
    sequences_per_second : float
    padding_waste : float
        Fraction of the computed time steps that are padding.
    validation_loss, validation_accuracy : float, optional
    """

    epoch: int
    step: int
    loss: float
    accuracy: float
    learning_rate: float
    seconds: float
    sequences_per_second: float
    padding_waste: float
    validation_loss: float | None
    validation_accuracy: float | None
