"""What the pages of bothways share: their style, and the playback of a model that reads a sequence.

Both the report and the served page use these files and the JSON form of a playback. What only one
of them shows belongs to `bothways.report` or `bothways.serve`.
"""
