"""PyTorch modules: drop-in recurrent layers, and the classifier built from them.

This package contains the layers, the preprocessing, the convolutional stem, the pooling, the
classifier that combines them, and ensembles of classifiers. The computation of a layer belongs to
`bothways.kernels`. Reading and batching sequences belongs to `bothways.data`.
"""

from bothways.nn.classifier import SequenceClassifier
from bothways.nn.drop_in import GRU, LSTM, RNN
from bothways.nn.ensemble import Ensemble

__all__ = ["GRU", "LSTM", "RNN", "Ensemble", "SequenceClassifier"]
