"""Input of the estimators: from what users pass as X to sequences."""

import warnings
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from bothways.data.frames import arrays_of_frames, has_frames
from bothways.data.offsets import find_offsets, subtract_offsets
from bothways.data.problems import axes_warning
from bothways.data.sequences import Sequences
from bothways.data.validation import check_magnitude, checked_arrays, checked_padded
from bothways.errors import DataError, counted
from bothways.sklearn.arrays import Array, as_numbers, check_sequences, is_table, num_axes


class SequenceInput(BaseEstimator):  # type: ignore[misc]
    """Reads X, and remembers the names, the number and the offsets of its features."""

    axes: Literal["ntc", "nct"]

    def _sequences(self, X: Any, *, fitting: bool) -> Sequences:
        """Return X as sequences, validated against what was fitted."""
        if fitting:
            self._names: tuple[str, ...] = ()  # of the features of one time step
        if has_frames(X):
            arrays = self._arrays_of_frames(X, fitting=fitting)
            return self._of_arrays(arrays, fitting=fitting, padded=False)
        check_sequences(X)
        if is_table(X):
            finite = "allow-nan" if self.__sklearn_tags__().input_tags.allow_nan else True
            table = validate_data(
                self,
                X,
                reset=fitting,
                dtype=[np.float64, np.float32],
                ensure_all_finite=finite,
            )
            return self._reduced([table[:, :, None]], fitting=fitting, padded=True)
        self._check_names(fitting=fitting)
        if num_axes(X) == 3:
            array = np.asarray(X)
            array = array if array.dtype.kind in "biuf" else as_numbers(array, "X")
            array = array.transpose(0, 2, 1) if self.axes == "nct" else array
            return self._of_arrays([array], fitting=fitting, padded=True)
        arrays = [as_numbers(values, f"X[{n}]") for n, values in enumerate(X)]
        arrays = [array[:, None] if array.ndim == 1 else array for array in arrays]
        return self._of_arrays(arrays, fitting=fitting, padded=False)

    def _of_arrays(self, arrays: list[Array], *, fitting: bool, padded: bool) -> Sequences:
        """Return arrays (time, features), or one padded array, as validated sequences."""
        sequences = self._reduced(arrays, fitting=fitting, padded=padded)
        if fitting:
            self.n_features_in_ = sequences.input_size
            swapped = axes_warning(sequences, 'pass axes="nct"') if padded else None
            if swapped is not None:
                warnings.warn(swapped, UserWarning, stacklevel=4)
        elif sequences.input_size != self.n_features_in_:
            raise DataError(
                f"X has {counted(sequences.input_size, 'feature')}, but {type(self).__name__} is "
                f"expecting {counted(self.n_features_in_, 'feature')} as input. Pass the features "
                "of training."
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
        for n, array in enumerate(arrays):
            if array.dtype.kind == "f":
                check_magnitude(array, "X" if padded else f"X[{n}]")
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
        if padded:
            return Sequences(*checked_padded(found[0], None, "X"))
        return Sequences(*checked_arrays(found, "X"))
