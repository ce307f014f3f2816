"""One reader for each file format.

A reader turns a file into records or arrays, and reports damage with the file and the line. What is
the same for all formats (windows, classes, splits) belongs to `bothways.data`.
"""
