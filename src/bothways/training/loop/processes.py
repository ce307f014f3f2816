"""The processes of a training: one, or several that divide each batch among them.

Each process has the data and the model. It computes the gradients of its rows of a batch; their sum
over all processes is the gradient of the batch, and each process takes the same optimizer step.
"""

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, distributed

from bothways.errors import ProcessError
from bothways.kernels.lengths import split_rows

T = TypeVar("T")
P = ParamSpec("P")

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for a message of the others. One that has died is noticed at once."""

_SIGN_OF_LIFE_SECONDS = 10.0
"""How often the first process sends a message while the others wait for its result."""


@dataclass(frozen=True)
class Processes:
    """The processes that train together, seen from one of them.

    All of them must call the same methods in the same order; a method that needs the others raises
    `ProcessError` if one of them has died, or does not answer within `TIMEOUT`.

    Parameters
    ----------
    rank : int
        Number of this process, from 0. The first one prints and writes.
    count : int
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def device(self, device: torch.device) -> torch.device:
        """Return the device of this process; of several GPUs, each process has its own."""
        if device.type != "cuda" or self.count == 1:
            return device
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", self.rank)))

    def own_rows(self, lengths: Tensor) -> Tensor:
        """Return the rows of a batch that this process computes, int64 (some,).

        The rows are divided as the compiled engine divides them among its threads, so that all
        processes have about the same number of time steps.

        Parameters
        ----------
        lengths : int64 Tensor (batch,)
        """
        return torch.from_numpy(split_rows(lengths.numpy(), self.count)[self.rank])

    def total(self, number: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.count > 1:
            number = number.clone()
            wait_for_all(distributed.all_reduce, number)
        return number

    def any(self, flag: bool) -> bool:
        """Return whether a flag is set in one of the processes."""
        return flag if self.count == 1 else bool(self.total(torch.tensor(int(flag))))

    def add_gradients(self, parameters: Iterable[Tensor], numbers: Tensor) -> Tensor:
        """Replace gradients by their sums over all processes, and return the sums of `numbers`.

        All are added in one message, which has the same layout in each step. The order of the
        additions, and with it the last bits, therefore depend only on the number of processes; see
        docs/decisions/0051.

        Parameters
        ----------
        parameters : iterable of Tensor
            Those without a gradient are skipped.
        numbers : float32 Tensor (some,)
        """
        if self.count == 1:
            return numbers
        gradients = [weight.grad for weight in parameters if weight.grad is not None]
        message = torch.cat([numbers, *(gradient.flatten() for gradient in gradients)])
        wait_for_all(distributed.all_reduce, message)
        sizes = [len(numbers), *(gradient.numel() for gradient in gradients)]
        numbers, *sums = message.split(sizes)
        for gradient, summed in zip(gradients, sums, strict=True):
            gradient.copy_(summed.view_as(gradient))
        return numbers

    def from_first(self, make: Callable[[], T]) -> T:
        """Call `make` in the first process, and return its result, or raise its error, in each.

        It may take any time, for example to evaluate the model.
        """
        if self.count == 1:
            return make()
        if not self.is_first:
            received: T = self.received()
            return received
        failure = None
        with _signs_of_life():
            try:
                result = make()
            except Exception as error:
                failure = error
        _broadcast((None, failure) if failure else (result, None))
        if failure is not None:
            raise failure
        return result

    def received(self) -> Any:
        """Return or raise what the first process sends to the others with `from_first`."""
        message = None
        while message is None:  # a sign of life
            message = _broadcast(None)
        result, error = message
        if error is not None:
            error.is_reported = True
            raise error
        return result

    def together(self, make: Callable[[], T]) -> T:
        """Call `make` in each process; if it fails in some of them, raise an error in each."""
        if self.count == 1:
            return make()
        failure = None
        try:
            result = make()
        except Exception as error:
            failure = error
        failures: list[Any] = [None] * self.count
        wait_for_all(distributed.all_gather_object, failures, failure)
        for rank, found in enumerate(failures):
            if found is not None:
                raised: Any = failure or found
                raised.is_reported = rank != self.rank
                raise raised
        return result


ALONE = Processes()
"""A training in one process."""


@contextmanager
def _signs_of_life() -> Iterator[None]:
    """Send messages to the other processes, which wait for a result of this one."""
    is_done = threading.Event()

    def send() -> None:
        with suppress(ProcessError):  # this process will raise it when it sends the result
            while not is_done.wait(_SIGN_OF_LIFE_SECONDS):
                _broadcast(None)

    sender = threading.Thread(target=send, name="signs of life")
    sender.start()
    try:
        yield
    finally:
        is_done.set()
        sender.join()


def _broadcast(message: Any) -> Any:
    """Return the message of the first process; those of the others are ignored."""
    messages = [message]
    wait_for_all(distributed.broadcast_object_list, messages)
    return messages[0]


def wait_for_all(collective: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call an operation that all processes must call.

    Raises
    ------
    ProcessError
        If one of them has died, or does not answer.
    """
    try:
        collective(*args, **kwargs)
    except RuntimeError as error:
        reason = re.sub(r"^\[.*?\] ", "", str(error))  # the place in the source of Gloo
        reason = reason.partition(". ")[0].partition("\n")[0]
        raise ProcessError(
            f"process {os.environ.get('RANK', '?')} has lost another one ({reason}); expected all "
            "to run. Look for the error of the process that failed first, then continue with "
            "--resume."
        ) from None
