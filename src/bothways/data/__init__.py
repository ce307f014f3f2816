"""Labeled sequences: from files and arrays to batches.

Here are the readers, datasets, splits, batches and the checks of what users pass. Nothing here
knows about models; what a model does to its inputs belongs to `bothways.nn.preprocessing`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
