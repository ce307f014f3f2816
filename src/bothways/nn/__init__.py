"""PyTorch modules: drop-in recurrent layers, and the classifier built from them.

Here are the layers, the preprocessing, the convolutional stem, the pooling and the module that
joins them. How a layer is computed belongs to `bothways.kernels`; where sequences come from
belongs to `bothways.data`.
"""

from bothways.nn.classifier import SequenceClassifier
from bothways.nn.drop_in import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN", "SequenceClassifier"]
