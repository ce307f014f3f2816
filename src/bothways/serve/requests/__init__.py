"""Requests to predict: from a connection to float arrays.

Here are the limits of size, time and memory of a body, its forms (JSON and `.npz`), and the checks
of its content. What a model answers to the arrays belongs to the modules above.
"""
