"""Joining the processes of a training that a launcher such as torchrun has started."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from bothways.errors import ConfigError, NonFiniteLossError, TrainingInterrupted
from bothways.training.loop.processes import ALONE, TIMEOUT, Processes, wait_for_all

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_ADVICE = "Start the training with torchrun, or unset WORLD_SIZE."


def is_restarted() -> bool:
    """Return whether torchrun has started the processes again because one of them died."""
    return _number_of_start() != "0"


def _number_of_start() -> str:
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """Join the processes that a launcher such as torchrun has started; without one, be alone.

    A process group that exists already is used, and kept. Otherwise, tensors on GPUs are exchanged
    by NCCL, all others by Gloo.

    Raises
    ------
    ConfigError
        If the environment is incomplete or contradicts itself.
    ProcessError
        If the processes cannot reach each other.
    """
    if distributed.is_available() and distributed.is_initialized():
        yield Processes(distributed.get_rank(), distributed.get_world_size())
        return
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield ALONE
        return
    _check_environment()
    with _ended_by_signals():
        wait_for_all(_join)
    processes = Processes(distributed.get_rank(), distributed.get_world_size())
    try:
        yield processes
    except (NonFiniteLossError, TrainingInterrupted) as error:  # the same in all processes
        error.is_reported = not processes.is_first
        raise
    finally:
        distributed.destroy_process_group()


def _check_environment() -> None:
    """Raise ConfigError unless a launcher has set all variables, to values that fit each other."""
    count = _number("WORLD_SIZE", range(1, 1 << 20), "the number of processes")
    missing = [name for name in _VARIABLES if name not in os.environ]
    if missing:
        raise ConfigError(
            f"WORLD_SIZE is {count} but {', '.join(missing)} is not set; expected the variables of "
            f"a launcher. {_ADVICE}"
        )
    for name in ("RANK", "LOCAL_RANK"):
        _number(name, range(count), f"0..{count - 1}, because WORLD_SIZE is {count}")
    _number("MASTER_PORT", range(1, 1 << 16), "1..65535")


def _number(name: str, allowed: range, rule: str) -> int:
    text = os.environ[name]
    if not text.isdecimal() or int(text) not in allowed:
        raise ConfigError(f"{name} is {text!r}; expected {rule}. {_ADVICE}")
    return int(text)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end this process: Python's handlers do not run while C++ waits."""
    before = {}
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        before = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in before:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _join() -> None:
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    store, rank, count = next(rendezvous("env://", timeout=TIMEOUT))
    # The store may outlive a restart, and then still has the addresses of dead processes.
    store = distributed.PrefixStore(  # type: ignore[attr-defined]
        f"start {_number_of_start()}", store
    )
    distributed.init_process_group(
        backend, store=store, rank=rank, world_size=count, timeout=TIMEOUT
    )
