"""Files that contain whole arrays: `.npz`, `.npy` and IDX.

Arrays are read a few rows at a time; only labels, lengths and groups are held in memory. What their
axes and names mean belongs here; what is the same for all formats belongs to `bothways.data`.
"""

from bothways.data.readers.arrays.idx import read_idx
from bothways.data.readers.arrays.npy import read_npy
from bothways.data.readers.arrays.npz import read_npz

__all__ = ["read_idx", "read_npy", "read_npz"]
