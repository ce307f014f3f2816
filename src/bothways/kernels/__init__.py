"""Backends that run recurrent layers: a reference, torch's operators and compiled code.

This package contains the cells, the masks and lengths, the kernel interface, its three
implementations and the choice between them. Everything is a plain function of time-major tensors.
Modules with parameters belong to `bothways.nn`.
"""

from bothways.kernels.backends import BACKENDS, PRECISIONS, Choice, choose_backend

__all__ = ["BACKENDS", "PRECISIONS", "Choice", "choose_backend"]
