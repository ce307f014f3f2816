"""The memory cache is bounded, frees unused memory and is thread-safe."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from bothways.kernels.compiled import workspace
from bothways.kernels.compiled.workspace import BlockCache, Workspace, cached_tensor

MB = 1 << 20


def test_a_block_is_reused_for_requests_of_similar_size():
    cache = BlockCache()
    block = cache.take(MB)
    cache.give(block)
    assert cache.take(MB - 1000) is block
    cache.give(block)
    assert cache.take(MB // 2) is not block
    assert cache.take(2 * MB) is not block


@pytest.mark.parametrize("size_bytes", [1, 1000, 70_000, MB + 1, 33 * MB])
def test_a_block_is_at_most_an_eighth_or_a_page_too_large(size_bytes):
    block = BlockCache().take(size_bytes)
    assert size_bytes <= block.size_bytes <= max(size_bytes * 9 / 8, size_bytes + 4096)
    assert block.address % 64 == 0


@pytest.mark.parametrize(("count", "size"), [(1000, MB), (100, 5 * MB), (3000, 1000)])
def test_the_cache_is_bounded(count, size):
    cache = BlockCache()
    for block in [cache.take(size) for _ in range(count)]:
        cache.give(block)
    assert cache.free_bytes <= 64 * MB


def test_an_unused_large_block_is_freed():
    cache = BlockCache()
    cache.give(cache.take(200 * MB))
    assert cache.free_bytes >= 200 * MB
    for _ in range(64):
        cache.give(cache.take(MB))
    assert cache.free_bytes <= 64 * MB


def test_memory_returns_to_the_cache_when_the_last_view_is_freed(monkeypatch):
    cache = BlockCache()
    monkeypatch.setattr(workspace, "blocks", cache)
    tensor = cached_tensor(3 * MB)
    view = tensor[5:]
    del tensor
    assert cache.free_bytes == 0
    del view
    assert cache.free_bytes >= 3 * MB


def test_failed_allocation():
    """Python reports an exception inside __del__ on stderr, and pytest as a warning."""
    with pytest.raises(MemoryError):
        Workspace(1 << 60)


def test_threads_share_the_cache():
    wrong = []

    def work(number):
        for _ in range(300):
            space = Workspace(MB)
            memory = np.asarray(space)
            memory[:100] = number
            if (memory[:100] != number).any():
                wrong.append(number)
            del memory
            space.release()

    workers = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


FORK = """
import os, threading
from bothways.kernels.compiled import workspace

held = threading.Event()
def hold():
    with workspace.blocks._lock:
        held.set()
        threading.Event().wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    workspace.Workspace(1 << 20)
    os._exit(0)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_fork_while_another_thread_holds_the_lock():
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    assert subprocess.run(command, timeout=60).returncode == 0
