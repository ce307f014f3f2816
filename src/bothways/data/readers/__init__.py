"""One reader for each file format.

A reader is a function `read_…(path, options, *, labeled)` that returns a `Source` of records and
reports damage with the file and the line; `registry` is the list of all formats. What is the same
for all formats (windows, classes, splits) belongs to `bothways.data`.
"""
