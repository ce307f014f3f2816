"""From windows to whole recordings: class scores are averaged over the windows of a recording."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def mean_over_recordings(scores: Array, recordings: Array) -> Array:
    """Return the mean scores of the windows of each recording.

    Parameters
    ----------
    scores : float array (count, num_classes)
        Probabilities, for example.
    recordings : integer array (count,)
        The recording of each window.

    Returns
    -------
    float64 array (num_recordings, num_classes), in the order of the recordings' numbers

    Examples
    --------
    >>> mean_over_recordings(np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]), np.array([0, 0, 1]))
    array([[0.7, 0.3],
           [0.2, 0.8]])
    """
    _, index, counts = np.unique(recordings, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), scores.shape[1]))
    np.add.at(sums, index, scores)
    means: Array = sums / counts[:, None]
    return means


def labels_of_recordings(labels: Array, recordings: Array) -> Array:
    """Return the label of each recording, which all its windows share."""
    _, first = np.unique(recordings, return_index=True)
    chosen: Array = labels[first]
    return chosen
