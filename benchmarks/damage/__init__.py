"""Damaged files: valid samples, mutations of them, and what reading them must not do.

`damaged_files.py` and `fuzz_readers.py` share this package.
"""
