"""Datasets that ship with the package.

A built-in dataset is opened by name and needs no download. Files that users bring are read by
`bothways.data.readers`.
"""
