"""The page at `/`: its files, and the routes that it asks for playbacks and examples.

Predictions for programs belong to `bothways.serve.service`, and the playback to `bothways.pages`.
"""
