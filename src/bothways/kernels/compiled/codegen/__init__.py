"""The program that Numba compiles: what the machine code of the engine is generated from.

Everything here runs inside compiled code, or generates it, for one cell and one instruction set.
What runs in Python at each call (memory, threads, autograd) belongs to `bothways.kernels.compiled`.
"""
