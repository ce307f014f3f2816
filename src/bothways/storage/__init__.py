"""Files on disk: atomic writes, checksummed tensor files, memory-mapped temporary files.

This package writes files atomically, detects damage, and stores steps that exceed the memory limit.
What a file means (a model, a checkpoint, a metric) belongs to the package that writes it.
"""

from bothways.storage.atomic import json_bytes, sha256, write_atomically
from bothways.storage.tensors import load_tensors, save_tensors

__all__ = ["json_bytes", "load_tensors", "save_tensors", "sha256", "write_atomically"]
