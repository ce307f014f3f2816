"""Progress of a training: bars on a terminal, lines otherwise."""

import sys
from collections.abc import Callable
from typing import NoReturn, Protocol

from tqdm import tqdm

from bothways.errors import counted
from bothways.training.loop.events import EpochDone, StepDone


class Progress(Protocol):
    """Receives the events of a training."""

    def note(self, text: str) -> None:
        """Report a note about the data."""

    def step(self, event: StepDone) -> None:
        """Report a step."""

    def reading(self, event: StepDone, loss: float, accuracy: float) -> None:
        """Report the loss of a step and the accuracy of its epoch so far."""

    def epoch(self, event: EpochDone) -> None:
        """Report an epoch."""

    def evaluating(self, split: str, count: int) -> Callable[[int], None]:
        """Report an evaluation; the result is called with the number of sequences of each batch."""

    def close(self) -> None:
        """End the output."""


class Bars:
    """A tqdm bar for each epoch, with loss and accuracy."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._bar: tqdm[NoReturn] | None = None

    def note(self, text: str) -> None:
        """Print it."""
        tqdm.write(text, file=sys.stdout)

    def step(self, event: StepDone) -> None:
        """Advance the bar."""
        if self._bar is None:
            self._bar = tqdm(
                total=event.sequences,
                initial=event.seen,
                desc=f"Epoch {event.epoch}/{self._epochs}",
                bar_format="{desc} |{bar}| {elapsed}<{remaining}{postfix}",  # fits 80 columns
                dynamic_ncols=True,
                file=sys.stdout,
            )
        self._bar.update(event.seen - self._bar.n)

    def reading(self, event: StepDone, loss: float, accuracy: float) -> None:
        """Show loss and accuracy."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}, accuracy {accuracy:.2%}", refresh=False)

    def epoch(self, event: EpochDone) -> None:
        """Keep the bar of the epoch, with its metrics."""
        if self._bar is not None:
            self._bar.set_postfix_str(_epoch_metrics(event), refresh=True)
        self.close()

    def evaluating(self, split: str, count: int) -> Callable[[int], None]:
        """Show a bar until the evaluation is done."""
        self.close()
        bar = tqdm(total=count, desc=f"Evaluating {split}", leave=False, file=sys.stdout)
        self._bar = bar

        def on_batch(rows: int) -> None:
            bar.update(rows)

        return on_batch

    def close(self) -> None:
        """Close the current bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Lines:
    """Lines as the notebooks print them, for logs and pipes."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def note(self, text: str) -> None:
        """Print it."""
        print(text, flush=True)

    def step(self, event: StepDone) -> None:
        """Print nothing."""

    def reading(self, event: StepDone, loss: float, accuracy: float) -> None:
        """Print a line as the notebooks do."""
        print(
            f"Epoch [{event.epoch}/{self._epochs}], Step [{event.step}/{event.steps}], "
            f"Loss: {loss:.4f}",
            flush=True,
        )

    def epoch(self, event: EpochDone) -> None:
        """Print the metrics of the epoch."""
        print(
            f"Epoch [{event.epoch}/{self._epochs}]: {_epoch_metrics(event)}, "
            f"{event.sequences_per_second:,.0f} sequences/s",
            flush=True,
        )

    def evaluating(self, split: str, count: int) -> Callable[[int], None]:
        """Print a line."""
        print(f"Evaluating {split}: {counted(count, 'sequence')}", flush=True)
        return lambda rows: None

    def close(self) -> None:
        """Do nothing."""


def make_progress(epochs: int) -> Progress:
    """Return bars if standard output is a terminal, else lines."""
    return Bars(epochs) if sys.stdout.isatty() else Lines(epochs)


def _epoch_metrics(event: EpochDone) -> str:
    figures = [f"loss {event.loss:.4f}", f"accuracy {event.accuracy:.2%}"]
    if event.validation_accuracy is not None:
        figures.append(f"validation {event.validation_accuracy:.2%}")
    return ", ".join(figures)
