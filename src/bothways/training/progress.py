"""What a person sees while a model trains: bars on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable
from typing import NoReturn, Protocol

from tqdm import tqdm

from bothways.training.trainer import EpochDone, StepDone


class Progress(Protocol):
    """Is told what happens in training, as it happens."""

    def note(self, text: str) -> None:
        """Take note of something about the data."""

    def step(self, event: StepDone) -> None:
        """Take note of a step."""

    def reading(self, event: StepDone, loss: float, accuracy: float) -> None:
        """Take note of this step's loss and the epoch's accuracy so far."""

    def epoch(self, event: EpochDone) -> None:
        """Take note of the end of an epoch."""

    def evaluating(self, split: str, count: int) -> Callable[[int], None]:
        """Take note of an evaluation; the result wants to know the rows of each batch."""

    def close(self) -> None:
        """Free the terminal."""


class Bars:
    """A tqdm bar an epoch, with loss, accuracy and sequences a second."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._bar: tqdm[NoReturn] | None = None

    def note(self, text: str) -> None:
        """Print it."""
        tqdm.write(text, file=sys.stdout)

    def step(self, event: StepDone) -> None:
        """Move the bar."""
        if self._bar is None:
            self._bar = tqdm(
                total=event.sequences,
                initial=event.seen,
                desc=f"Epoch {event.epoch}/{self._epochs}",
                unit=" sequences",
                dynamic_ncols=True,
                file=sys.stdout,
            )
        self._bar.update(event.seen - self._bar.n)

    def reading(self, event: StepDone, loss: float, accuracy: float) -> None:
        """Show loss and accuracy."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}, accuracy {accuracy:.2%}", refresh=False)

    def epoch(self, event: EpochDone) -> None:
        """Leave the finished bar on the screen, with the epoch's figures."""
        if self._bar is not None:
            self._bar.set_postfix_str(_epoch_figures(event), refresh=True)
        self.close()

    def evaluating(self, split: str, count: int) -> Callable[[int], None]:
        """Show a bar that goes when it is done."""
        self.close()
        bar = tqdm(total=count, desc=f"Evaluating {split}", leave=False, file=sys.stdout)
        self._bar = bar

        def on_batch(rows: int) -> None:
            bar.update(rows)

        return on_batch

    def close(self) -> None:
        """End the bar that is shown."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Lines:
    """Lines in the notebooks' style, for logs and pipes."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def note(self, text: str) -> None:
        """Print it."""
        print(text, flush=True)

    def step(self, event: StepDone) -> None:
        """Say nothing."""

    def reading(self, event: StepDone, loss: float, accuracy: float) -> None:
        """Print a line in the notebooks' words."""
        print(
            f"Epoch [{event.epoch}/{self._epochs}], Step [{event.step}/{event.steps}], "
            f"Loss: {loss:.4f}",
            flush=True,
        )

    def epoch(self, event: EpochDone) -> None:
        """Print the epoch's figures."""
        print(
            f"Epoch [{event.epoch}/{self._epochs}]: {_epoch_figures(event)}, "
            f"{event.sequences_per_second:,.0f} sequences/s",
            flush=True,
        )

    def evaluating(self, split: str, count: int) -> Callable[[int], None]:
        """Say so."""
        print(f"Evaluating {split}: {count} sequences", flush=True)
        return lambda rows: None

    def close(self) -> None:
        """Do nothing."""


def make_progress(epochs: int) -> Progress:
    """Return bars if standard output is a terminal, else lines."""
    return Bars(epochs) if sys.stdout.isatty() else Lines(epochs)


def _epoch_figures(event: EpochDone) -> str:
    figures = [f"loss {event.loss:.4f}", f"accuracy {event.accuracy:.2%}"]
    if event.validation_accuracy is not None:
        figures.append(f"validation {event.validation_accuracy:.2%}")
    return ", ".join(figures)
