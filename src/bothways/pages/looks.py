"""Whether sequences are drawn as pictures or as lines."""

from bothways.data.readers.images import PIXEL_NAME, SIZE
from bothways.models.manifest import Manifest

_LEAST_SIDE = 8
_MOST_SIDE = 128


def looks_like_picture(manifest: Manifest, time: int) -> bool:
    """Return whether a sequence of a model is a picture that is read row by row.

    It is one if the features have no names, or are pixels, have values from 0 to 1, and the time
    steps are at least 8 rows of at least 8 pixels.

    Parameters
    ----------
    manifest : Manifest
    time : int
        Time steps of the sequence.
    """
    model, preprocessing = manifest.model, manifest.preprocessing
    low, high = preprocessing.training_range or (None, None)
    return (
        model.target == "sequence"
        and all(_LEAST_SIDE <= side <= _MOST_SIDE for side in (time, model.input_size))
        and not any(model.categories)
        and all(PIXEL_NAME.fullmatch(name) for name in preprocessing.features)
        and (low, high) == (0, 1)
    )


def reads_digits(manifest: Manifest) -> bool:
    """Return whether a model reads pictures in the form of MNIST's digits."""
    return manifest.model.input_size == SIZE and looks_like_picture(manifest, SIZE)
