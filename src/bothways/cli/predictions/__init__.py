"""`bothways predict` with many files, or with steps that come on standard input."""
