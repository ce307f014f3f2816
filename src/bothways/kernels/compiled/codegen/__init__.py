"""The source of the program that Numba compiles, for one cell and one instruction set.

Functions in this package run in compiled code or generate it. Code that runs in Python at each call
(memory, threads, autograd) belongs to `bothways.kernels.compiled`.
"""
