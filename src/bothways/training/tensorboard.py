"""Event files for TensorBoard, beside the history of a run."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bothways.optional import require
from bothways.training.loop.events import EpochDone, StepDone


class EventFiles:
    """Writes what the history contains as scalars.

    Parameters
    ----------
    folder : Path
        The run folder.
    first_step : int
        Number of steps before this start of the training; later events of an earlier start are
        hidden.

    Raises
    ------
    MissingDependencyError
        If TensorBoard is not installed.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        check_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=first_step + 1)

    def add_step(self, event: StepDone, facts: Mapping[str, float]) -> None:
        """Write loss, learning rate and norm of the gradients of a step."""
        at = (event.epoch - 1) * event.steps + event.step
        for name in ("loss", "learning_rate", "gradient_norm"):
            if name in facts:
                self._writer.add_scalar(f"step/{name}", facts[name], at)

    def add_epoch(self, event: EpochDone) -> None:
        """Write loss and accuracy of an epoch, and its speed."""
        at = event.epoch * event.step
        values = {
            "loss/train": event.loss,
            "loss/validation": event.validation_loss,
            "accuracy/train": event.accuracy,
            "accuracy/validation": event.validation_accuracy,
            "speed/sequences_per_second": event.sequences_per_second,
        }
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(name, value, at)
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()


def check_tensorboard() -> None:
    """Raise an error if TensorBoard is not installed.

    Raises
    ------
    MissingDependencyError
    """
    require("tensorboard", extra="tensorboard", purpose="event files")
