"""A bounded cache of memory blocks, which lets a training step reuse the memory of earlier ones.

New memory costs a page fault for every 4 KiB, up to a third of the time of a training step.
"""

import os
import threading
from collections import deque
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

ALIGNMENT = 64  # a cache line
_MIN_CACHED_BYTES = 1 << 16  # malloc reuses smaller blocks well
_MAX_BLOCKS = 64
_MIN_BOUND_BYTES = 1 << 26  # may always be cached
_NUM_RECENT = 64  # requests that determine the bound


class _Block:
    """Memory allocated by numpy, and the address of its first whole cache line."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._memory = np.empty(size_bytes + 2 * ALIGNMENT, np.uint8)  # a vector may exceed the end
        start = int(self._memory.ctypes.data)
        self.address = -(-start // ALIGNMENT) * ALIGNMENT


class BlockCache:
    """A cache of free memory blocks.

    It contains at most 64 blocks, and at most 64 MiB or four times the largest recent request.
    Requests are rounded up by at most an eighth, so that ragged batches of similar size can reuse
    each other's blocks.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[_Block] = []  # oldest first
        self._returned: deque[_Block] = deque()
        self._requests: deque[int] = deque(maxlen=_NUM_RECENT)

    @property
    def free_bytes(self) -> int:
        """Total size of the free blocks."""
        return sum(block.size_bytes for block in [*self._free, *self._returned])

    def take(self, size_bytes: int) -> _Block:
        """Return a block of at least `size_bytes`."""
        size_bytes = _rounded(size_bytes)
        if size_bytes >= _MIN_CACHED_BYTES:
            with self._lock:
                self._requests.append(size_bytes)
                self._collect()
                for place in range(len(self._free) - 1, -1, -1):
                    if self._free[place].size_bytes == size_bytes:
                        return self._free.pop(place)
        return _Block(size_bytes)

    def give(self, block: _Block) -> None:
        """Return a block to the cache; the garbage collector may call this at any time."""
        if block.size_bytes < _MIN_CACHED_BYTES:
            return
        self._returned.append(block)
        if self._lock.acquire(blocking=False):  # otherwise the next call collects it
            try:
                self._collect()
            finally:
                self._lock.release()

    def _collect(self) -> None:
        """Move returned blocks to the free list and drop the oldest ones beyond the bounds."""
        while self._returned:
            self._free.append(self._returned.popleft())
        bound = max(_MIN_BOUND_BYTES, 4 * max(self._requests, default=0))
        while len(self._free) > _MAX_BLOCKS or sum(b.size_bytes for b in self._free) > bound:
            del self._free[0]


blocks = BlockCache()


def _after_fork() -> None:
    global blocks
    blocks = BlockCache()  # another thread of the parent may have held the lock


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Workspace:
    """A block of memory that returns to the cache when it is released or garbage collected.

    Parameters
    ----------
    size_bytes : int

    Attributes
    ----------
    address : int
        Address of the memory, a multiple of 64.

    Raises
    ------
    MemoryError
        If the memory cannot be allocated.
    """

    _block: _Block | None = None  # also if __init__ fails

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._block = blocks.take(size_bytes)
        self.address = self._block.address

    def __reduce__(self) -> NoReturn:
        raise TypeError("memory of the engine cannot be copied; copy what uses it instead")

    def release(self) -> None:
        """Return the memory to the cache; further calls have no effect."""
        block, self._block = self._block, None
        if block is not None:
            blocks.give(block)

    def __del__(self) -> None:
        self.release()

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """The array interface of numpy; an array made from it keeps this object alive."""
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
    """Return a size rounded up by at most an eighth."""
    step = 1 << max(12, size_bytes.bit_length() - 4)
    return -(-size_bytes // step) * step
