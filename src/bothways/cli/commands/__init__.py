"""The commands, in one module for each group.

A command parses its arguments, calls the library and prints; each module registers its commands
with `bothways.cli.app` when it is imported. What a command does belongs to the library.
"""
