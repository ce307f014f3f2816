"""Export to C99 source.

`program` says what the program of a model consists of, `source` fills the templates, and `check`
compiles and compares it. Nothing here runs after the export.
"""
