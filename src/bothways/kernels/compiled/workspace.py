"""A bounded cache of memory: a training step reuses what an earlier one has freed.

Fresh memory costs a page fault for every 4 KiB, up to a third of the time of a training step.
"""

import os
import threading
from collections import deque
from typing import Any

import numpy as np
import torch
from torch import Tensor

ALIGNMENT = 64  # a cache line
_SMALLEST = 1 << 16  # malloc itself reuses smaller blocks
_MOST_BLOCKS = 64
_LEAST_BOUND = 1 << 26  # bytes that may always be cached
_REMEMBERED = 64  # requests


class _Block:
    """Memory from numpy, and the address of its first whole cache line."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._memory = np.empty(size_bytes + 2 * ALIGNMENT, np.uint8)  # a vector may overhang
        start = int(self._memory.ctypes.data)
        self.address = -(-start // ALIGNMENT) * ALIGNMENT


class BlockCache:
    """Free blocks of memory, at most 64 of them and four times the largest recent request.

    A request is rounded up by at most an eighth, so that ragged batches soon find blocks to reuse.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[_Block] = []  # the one that was freed first comes first
        self._returned: deque[_Block] = deque()
        self._requests: deque[int] = deque(maxlen=_REMEMBERED)

    @property
    def free_bytes(self) -> int:
        """Size of the memory that is cached and unused."""
        return sum(block.size_bytes for block in [*self._free, *self._returned])

    def take(self, size_bytes: int) -> _Block:
        """Return a block of at least `size_bytes`."""
        size_bytes = _rounded(size_bytes)
        if size_bytes >= _SMALLEST:
            with self._lock:
                self._requests.append(size_bytes)
                self._settle()
                for place in range(len(self._free) - 1, -1, -1):
                    if self._free[place].size_bytes == size_bytes:
                        return self._free.pop(place)
        return _Block(size_bytes)

    def give(self, block: _Block) -> None:
        """Take back a block; the garbage collector may call this at any time, in any thread."""
        if block.size_bytes < _SMALLEST:
            return
        self._returned.append(block)
        if self._lock.acquire(blocking=False):  # otherwise the next call settles
            try:
                self._settle()
            finally:
                self._lock.release()

    def _settle(self) -> None:
        while self._returned:
            self._free.append(self._returned.popleft())
        bound = max(_LEAST_BOUND, 4 * max(self._requests, default=0))
        while len(self._free) > _MOST_BLOCKS or sum(b.size_bytes for b in self._free) > bound:
            del self._free[0]


blocks = BlockCache()


def _after_fork() -> None:
    global blocks
    blocks = BlockCache()  # another thread of the parent may have held the lock


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Workspace:
    """Memory of its holder until it is released or dropped.

    Parameters
    ----------
    size_bytes : int

    Attributes
    ----------
    address : int
        A multiple of 64.

    Raises
    ------
    MemoryError
        If there is not enough memory.
    """

    _block: _Block | None = None  # also if __init__ fails

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._block = blocks.take(size_bytes)
        self.address = self._block.address

    def release(self) -> None:
        """Give the memory back to the cache; further calls have no effect."""
        block, self._block = self._block, None
        if block is not None:
            blocks.give(block)

    def __del__(self) -> None:
        self.release()

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """The memory as numpy sees it; an array of it keeps this object alive."""
        return {
            "data": (self.address, False),
            "shape": (self.size_bytes,),
            "typestr": "|u1",
            "version": 3,
        }


def cached_tensor(size_bytes: int) -> Tensor:
    """Return a uint8 tensor (size_bytes,) whose memory returns to the cache when it is freed."""
    return torch.from_numpy(np.asarray(Workspace(size_bytes)))


def _rounded(size_bytes: int) -> int:
    """Round up by at most an eighth."""
    step = 1 << max(12, size_bytes.bit_length() - 4)
    return -(-size_bytes // step) * step
