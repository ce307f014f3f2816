"""How good predictions are: metrics, segments and calibration.

Here is everything that compares logits with labels. Comparing several models belongs to
`bothways.model_selection`.
"""
