"""Metrics of predictions, segments and calibration.

Everything that compares logits with labels belongs here. The comparison of several models belongs
to `bothways.model_selection`.
"""
