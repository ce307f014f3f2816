"""Look at every value of sequences, one chunk at a time."""

from collections.abc import Sequence

from bothways.data.sequences import Sequences
from bothways.errors import DataError


def check_finite(
    sequences: Sequences,
    name: str,
    first: int = 0,
    *,
    missing: bool = False,
    features: Sequence[str] = (),
) -> None:
    """Raise an error for the first value that is infinite, or NaN unless values may be missing.

    Parameters
    ----------
    sequences : Sequences
    name : str
        For messages.
    first : int
        The number of the first sequence, for messages.
    missing : bool
        Whether NaN is allowed.
    features : sequence of str
        Names of the features, for messages.

    Raises
    ------
    DataError
        If there is such a value; the message names its sequence, step and feature.
    """
    for steps, rows, _ in sequences.chunks():
        bad = steps.isinf() if missing else ~steps.isfinite()
        if bool(bad.any()):
            place, feature = bad.nonzero()[0].tolist()
            value, row = float(steps[place, feature]), int(rows[place])
            step = place - int((rows == row).nonzero()[0])
            what = features[feature] if features else f"feature {feature}"
            advice = ", or set missing=mean" if value != value else ""
            raise DataError(
                f"{name}[{first + row}] holds {value} at step {step}, {what}; expected finite "
                f"numbers. Fix or drop the sequence{advice}."
            )


def value_range(
    sequences: Sequences,
    name: str = "sequences",
    *,
    missing: bool = False,
    features: Sequence[int] | None = None,
) -> tuple[float, float]:
    """Return the smallest and the largest value.

    Parameters
    ----------
    sequences : Sequences
    name : str
        For messages.
    missing : bool
        Whether NaN is allowed; it is ignored.
    features : sequence of int, optional
        The features to look at; default: all.

    Returns
    -------
    low, high : float
        Infinity and its negative if there are no values.

    Raises
    ------
    DataError
        If a value is infinite, or NaN without `missing`.
    """
    low, high = float("inf"), -float("inf")
    for steps, _, _ in sequences.chunks():
        if features is not None and len(features) < sequences.input_size:
            steps = steps[:, features]
        absent = steps.isnan()
        if bool(absent.any()):
            if not missing:
                check_finite(sequences, name)
            steps = steps[~absent]
        if steps.numel():
            low, high = min(low, float(steps.min())), max(high, float(steps.max()))
    if max(-low, high) == float("inf") and low <= high:
        check_finite(sequences, name, missing=missing)
    return low, high
