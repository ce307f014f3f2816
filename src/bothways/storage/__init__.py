"""Files that survive a crash.

Here is everything that writes a file atomically or detects damage in one.
What a file means (a model, a checkpoint, a metric) belongs to the package that writes it.
"""

from bothways.storage.atomic import json_bytes, sha256, write_atomically
from bothways.storage.tensors import load_tensors, save_tensors

__all__ = ["json_bytes", "load_tensors", "save_tensors", "sha256", "write_atomically"]
