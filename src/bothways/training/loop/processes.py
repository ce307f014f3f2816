"""The processes of a training: one, or several that divide each batch among them.

Each process has the data and the model. It computes the gradients of its rows of a batch; their sum
over all processes is the gradient of the batch, and each process takes the same optimizer step.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, ParamSpec, TypeVar

import torch
from torch import Tensor, distributed
from torch.distributed.rendezvous import rendezvous

from bothways.errors import (
    BothwaysError,
    ConfigError,
    NonFiniteLossError,
    ProcessError,
    TrainingInterrupted,
)
from bothways.kernels.lengths import split_rows

T = TypeVar("T")
P = ParamSpec("P")

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others, for example while the first one evaluates the model.

A process that has died is noticed at once.
"""

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


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
            _wait_for_all(distributed.all_reduce, number)
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
        _wait_for_all(distributed.all_reduce, message)
        sizes = [len(numbers), *(gradient.numel() for gradient in gradients)]
        numbers, *sums = message.split(sizes)
        for gradient, summed in zip(gradients, sums, strict=True):
            gradient.copy_(summed.view_as(gradient))
        return numbers

    def from_first(self, make: Callable[[], T]) -> T:
        """Call `make` in the first process, and return its result, or raise its error, in each."""
        if self.count == 1:
            return make()
        if not self.is_first:
            received: T = self.received()
            return received
        try:
            result = make()
        except Exception as error:
            _wait_for_all(distributed.broadcast_object_list, [(None, error)])
            raise
        _wait_for_all(distributed.broadcast_object_list, [(result, None)])
        return result

    def received(self) -> Any:
        """Return or raise what the first process sends to the others with `from_first`."""
        message: list[Any] = [None]
        _wait_for_all(distributed.broadcast_object_list, message)
        result, error = message[0]
        if error is not None:
            self._raise(error, reporter=0)
        return result

    def together(self, make: Callable[[], T]) -> T:
        """Call `make` in each process; if it fails in some of them, raise an error in each."""
        if self.count == 1:
            return make()
        result: T | None = None
        failure = None
        try:
            result = make()
        except Exception as error:
            failure = error
        failures: list[Exception | None] = [None] * self.count
        _wait_for_all(distributed.all_gather_object, failures, failure)
        for rank, found in enumerate(failures):
            if found is not None:
                self._raise(failure or found, reporter=rank)
        return result  # type: ignore[return-value]

    def _raise(self, error: Exception, reporter: int) -> NoReturn:
        if self.rank != reporter and isinstance(error, BothwaysError):
            error.is_reported = True
        raise error


ALONE = Processes()
"""A training in one process."""


def restarts() -> int:
    """Return how often torchrun has started the processes again because one of them died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """Join the processes that a launcher such as torchrun has started; without one, be alone.

    A process group that exists already is used, and kept. Otherwise, tensors on GPUs are exchanged
    by NCCL, all others by Gloo.

    Raises
    ------
    ConfigError
        If the environment is incomplete.
    ProcessError
        If the processes cannot reach each other.
    """
    if distributed.is_available() and distributed.is_initialized():
        yield Processes(distributed.get_rank(), distributed.get_world_size())
        return
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield ALONE
        return
    missing = [name for name in _VARIABLES if name not in os.environ]
    if missing:
        raise ConfigError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']} but {', '.join(missing)} is not set; "
            "expected the variables of a launcher. Start the training with torchrun, or unset "
            "WORLD_SIZE."
        )
    _wait_for_all(_join)
    processes = Processes(distributed.get_rank(), distributed.get_world_size())
    try:
        yield processes
    except (NonFiniteLossError, TrainingInterrupted) as error:  # the same in all processes
        error.is_reported = not processes.is_first
        raise
    finally:
        distributed.destroy_process_group()


def _join() -> None:
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    store, rank, count = next(rendezvous("env://", timeout=TIMEOUT))
    # The store may outlive a restart, and then still has the addresses of dead processes.
    store = distributed.PrefixStore(  # type: ignore[attr-defined]
        f"start {restarts()}", store
    )
    distributed.init_process_group(
        backend, store=store, rank=rank, world_size=count, timeout=TIMEOUT
    )


def _wait_for_all(collective: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
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
