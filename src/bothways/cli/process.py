"""Process-wide settings, which a program may change and a library may not."""

import ctypes
import gc
import os
import sys

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def prints_here(command: str | None) -> bool:
    """Return whether this process prints the messages of a command.

    Of several that train together, the first one does. Any other command runs as if it were alone.
    """
    is_alone = command != "train" or os.environ.get("WORLD_SIZE", "1") == "1"
    return is_alone or os.environ.get("RANK", "0") == "0"


def keep_freed_memory() -> None:
    """Make malloc keep freed memory instead of returning it to the operating system.

    By default, glibc returns torch's large buffers after each use, and the page faults of the next
    allocation take up to a third of the time of a training step. No effect without glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_TOP_PAD, 64 * 2**20)


def wait_briefly() -> None:
    """Let idle OpenMP threads give up their core after about 0.5 ms; call this before torch loads.

    By default they spin for milliseconds, and two trainings that share two cores become 40 times
    as slow instead of twice. `OMP_WAIT_POLICY` and `GOMP_SPINCOUNT` of the user are respected. See
    docs/decisions/0045.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def keep_objects() -> None:
    """Exclude all objects that exist now from later garbage collections.

    torch and its dependencies create so many that a full collection takes 0.1 seconds, in which a
    server answers nothing.
    """
    gc.collect()
    gc.freeze()
