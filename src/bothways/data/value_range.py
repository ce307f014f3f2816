"""Looking at every value of sequences, a chunk at a time."""

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
    """Raise DataError, with the row in `name` (counted from `first`), at a value no net takes.

    That is infinity and, unless it may stand for what is `missing`, NaN. `features` are names.
    """
    for steps, rows, _ in sequences.chunks():
        bad = steps.isinf() if missing else ~steps.isfinite()
        if bool(bad.any()):
            place, feature = bad.nonzero()[0].tolist()
            value, row = float(steps[place, feature]), int(rows[place])
            step = place - int((rows == row).nonzero()[0])
            what = features[feature] if features else f"feature {feature}"
            raise DataError(
                f"{name}[{first + row}] holds {value} at step {step}, {what}; expected finite "
                "numbers. Mend or drop it" + (", or set missing=mean." if value != value else ".")
            )


def value_range(
    sequences: Sequences,
    name: str = "sequences",
    *,
    missing: bool = False,
    features: Sequence[int] | None = None,
) -> tuple[float, float]:
    """Return the smallest and the largest value of some features, all where not given.

    Of nothing, they are infinity and its negative. `name` and `missing` are as in
    `check_finite`.

    Raises
    ------
    DataError
        As `check_finite`.
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
