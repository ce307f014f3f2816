"""Input of the estimators: from what users pass as X to sequences."""

import warnings
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from bothways.data.frames import arrays_of_frames, has_frames
from bothways.data.offsets import find_offsets, subtract_offsets
from bothways.data.sequences import Sequences
from bothways.data.summary import axes_warning
from bothways.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]


class SequenceInput(BaseEstimator):  # type: ignore[misc]
    """Reads X, and remembers the names, the number and the offsets of its features."""

    axes: Literal["ntc", "nct"]

    def _sequences(self, X: Any, *, fitting: bool) -> Sequences:
        """Return X as sequences, validated against what was fitted."""
        if fitting:
            self._names: tuple[str, ...] = ()  # of the features of one time step
        if has_frames(X):
            arrays = self._arrays_of_frames(X, fitting=fitting)
        elif _is_table(X):
            finite = "allow-nan" if self.__sklearn_tags__().input_tags.allow_nan else True
            table = validate_data(
                self,
                X,
                reset=fitting,
                dtype=[np.float64, np.float32],
                ensure_all_finite=finite,
            )
            return self._reduced([table[:, :, None]], fitting=fitting, padded=True)
        elif isinstance(X, np.ndarray) and X.ndim == 3:
            arrays = [X.transpose(0, 2, 1) if self.axes == "nct" else X]
        else:
            arrays = [np.asarray(values, dtype=np.float64) for values in X]
            arrays = [array[:, None] if array.ndim == 1 else array for array in arrays]
        padded = isinstance(X, np.ndarray) and X.ndim == 3
        if not has_frames(X):
            self._check_names(fitting=fitting)
        sequences = self._reduced(arrays, fitting=fitting, padded=padded)
        if fitting:
            self.n_features_in_ = sequences.input_size
            swapped = axes_warning(sequences, 'pass axes="nct"') if padded else None
            if swapped is not None:
                warnings.warn(swapped, UserWarning, stacklevel=3)
        elif sequences.input_size != self.n_features_in_:
            raise DataError(
                f"X has {sequences.input_size} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input. Pass the features of training."
            )
        return sequences

    def _arrays_of_frames(self, X: Any, *, fitting: bool) -> list[Array]:
        """Return the arrays of frames, and remember or match the names of their columns."""
        if fitting:
            arrays, self._names = arrays_of_frames(X, None)
            self.feature_names_in_ = np.array(self._names, dtype=object)
            return arrays
        known = getattr(self, "feature_names_in_", None)
        arrays, _ = arrays_of_frames(X, known)
        if known is None:
            warnings.warn(
                f"X has feature names, but {type(self).__name__} was fitted without feature names",
                UserWarning,
                stacklevel=4,
            )
        return arrays

    def _check_names(self, *, fitting: bool) -> None:
        """Forget, or warn of, the names of earlier frames, as scikit-learn does."""
        if fitting and hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        elif hasattr(self, "feature_names_in_"):
            warnings.warn(
                f"X does not have valid feature names, but {type(self).__name__} was fitted with "
                "feature names",
                UserWarning,
                stacklevel=4,
            )

    def _reduced(self, arrays: list[Array], *, fitting: bool, padded: bool) -> Sequences:
        """Return float32 sequences, large constants subtracted from their features."""
        if fitting:
            self._offsets: tuple[float, ...] = ()
            if all(array.dtype == np.float64 and array.ndim == 2 + padded for array in arrays):
                size = arrays[0].shape[-1]
                if all(array.shape[-1] == size for array in arrays):
                    flat = [array.reshape(-1, size) for array in arrays]
                    self._offsets = find_offsets(np.concatenate(flat))
        fits = [array.shape[-1:] == (len(self._offsets),) for array in arrays]
        offsets = self._offsets if all(fits) else ()
        found = [subtract_offsets(array, offsets) for array in arrays]
        return Sequences.from_padded(found[0]) if padded else Sequences.from_arrays(found)


def _is_table(X: Any) -> bool:
    """Return whether X is a table, which scikit-learn validates: not a list of sequences, not 3-D.

    A list of arrays is always a list of sequences, whatever their lengths. A list of numbers, or of
    lists of numbers, is a table.
    """
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1 and len(X):
        X = list(X)
    if isinstance(X, list | tuple) and X:
        return not all(hasattr(values, "shape") or _depth(values) == 2 for values in X)
    return not (isinstance(X, np.ndarray) and X.ndim == 3)


def _depth(values: Any) -> int:
    """Return how deep lists are nested."""
    return 1 + _depth(values[0]) if isinstance(values, list | tuple) and len(values) else 0
