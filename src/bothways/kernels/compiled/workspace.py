"""Memory that is used again: a training step takes what an earlier one has given back.

Fresh memory costs a page fault every 4 KiB, which made up to a third of a step.
"""

import ctypes
import os
import threading

import numpy as np

_ALIGNMENT = 64  # a cache line
_free: list["_Slab"] = []
_lock = threading.Lock()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Workspace:
    """A stretch of memory that is its holder's alone until released or dropped.

    Parameters
    ----------
    size_bytes : int

    Attributes
    ----------
    address : int
        Where it begins; a whole cache line.
    """

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._slab: _Slab | None = _take(size_bytes)
        self.address = self._slab.address

    def copy(self) -> "Workspace":
        """Return a second one with the same content."""
        other = Workspace(self._size_bytes)
        ctypes.memmove(other.address, self.address, self._size_bytes)
        return other

    def release(self) -> None:
        """Give the memory back for the next one; once is enough."""
        slab, self._slab = self._slab, None
        if slab is not None:
            _free.append(slab)

    def __del__(self) -> None:
        self.release()


class _Slab:
    """Memory from numpy, and its first whole cache line."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._memory = np.empty(size_bytes + 2 * _ALIGNMENT, np.uint8)  # a vector may overhang
        start = int(self._memory.ctypes.data)
        self.address = -(-start // _ALIGNMENT) * _ALIGNMENT


def _take(size_bytes: int) -> _Slab:
    """Return the smallest free slab that is large enough, or a new one in the largest's place."""
    with _lock:
        free = sorted(_free, key=lambda slab: slab.size_bytes)
        for slab in free:
            if slab.size_bytes >= size_bytes:
                _free.remove(slab)
                return slab
        if free:
            _free.remove(free[-1])
    return _Slab(_rounded(size_bytes))


def _rounded(size_bytes: int) -> int:
    """Round up by at most an eighth, so that ragged batches soon fit what is there."""
    step = 1 << max(12, size_bytes.bit_length() - 4)
    return -(-size_bytes // step) * step
