"""Generated sequences in Parquet files, one row for each time step, for benchmarks/scale.py."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

FEATURES = 6
CLASSES = 4
MEAN_STEPS = 100
SPREAD = 0.8  # standard deviation of the logarithm of the lengths
SHORTEST, LONGEST = 5, 2000
EFFECT = 0.3


def draw_lengths(generator: np.random.Generator, steps: int) -> NDArray[np.int64]:
    """Return log-normal lengths of sequences with `steps` time steps together, (count,)."""
    drawn = generator.lognormal(np.log(MEAN_STEPS) - SPREAD**2 / 2, SPREAD, steps // SHORTEST + 1)
    lengths = np.clip(drawn, SHORTEST, LONGEST).astype(np.int64)
    ends = lengths.cumsum()
    count = int(np.searchsorted(ends, steps)) + 1
    lengths[count - 1] -= ends[count - 1] - steps
    return lengths[:count]


def write_file(path: Path, steps: int, seed: int, first: int = 0) -> int:
    """Write sequences with `steps` time steps together, and return how many there are.

    The features are noise, N(0, 1); that with the number of the class has the mean `EFFECT`.

    Parameters
    ----------
    path : Path
    steps : int
    seed : int
    first : int
        Number of the first sequence; the others follow.
    """
    generator = np.random.default_rng(seed)
    lengths = draw_lengths(generator, steps)
    labels = np.repeat(generator.integers(CLASSES, size=len(lengths)), lengths)
    values = generator.standard_normal((steps, FEATURES), dtype=np.float32)
    values[np.arange(steps), labels] += np.float32(EFFECT)
    columns = {
        "sequence": np.repeat(np.arange(first, first + len(lengths)), lengths),
        "label": np.array([f"class {n}" for n in range(CLASSES)])[labels],
        **{f"x{n}": values[:, n] for n in range(FEATURES)},
    }
    pq.write_table(pa.table(columns), path)
    return len(lengths)


def write_files(folder: Path, steps: int, files: int) -> int:
    """Write files with `steps` time steps together, and return the number of sequences."""
    folder.mkdir()
    count = 0
    for n in range(files):
        path = folder / f"part-{n:02}.parquet"
        count += write_file(path, steps // files, seed=n, first=count)
    return count
