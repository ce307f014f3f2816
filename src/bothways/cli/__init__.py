"""The command line: parse arguments, call the library, print.

Here are the commands, their options and the tables they print. Anything that a Python user could
want belongs to the library instead.
"""
