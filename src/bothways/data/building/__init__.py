"""From the records of a source to a dataset, in the same way for every format.

Here records are checked, cut into windows and collected in parts. Predictions of files use the
checks alone. How records are read belongs to `bothways.data.readers`, and how parts are divided to
`bothways.data.splitting`.
"""
