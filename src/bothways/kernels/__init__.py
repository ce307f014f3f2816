"""The engines that run recurrent layers: a reference, torch's operators and compiled code.

Here are the cells, masks and lengths, the kernel interface, its three implementations and the
choice between them. Everything is a plain function of time-major tensors; modules with parameters
belong to `bothways.nn`.
"""

from bothways.kernels.backends import BACKENDS, Choice, choose_backend

__all__ = ["BACKENDS", "Choice", "choose_backend"]
