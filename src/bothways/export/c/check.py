"""Compile an exported C file, run it on random sequences and compare it with its model."""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bothways.data.sequences import Sequences
from bothways.errors import ExportError
from bothways.evaluation.evaluate import compute_logits
from bothways.export.c.source import CSource
from bothways.export.check_data import random_sequences
from bothways.export.comparison import check_finite, reference_of
from bothways.models.trained_model import TrainedModel

Array = np.ndarray[Any, np.dtype[Any]]

TOLERANCE = 1e-5
"""Greatest difference of a logit, relative to the largest logit if that exceeds 1.

Both sides round to float32 (6e-8) in sums of hundreds of terms and over many time steps, in
different orders. A wrong or missing term changes logits by far more. A probability changes by less
than half the change of the logits.
"""

FLAGS = ("-std=c99", "-O1")
SECONDS = 300
"""Time limit of the compiler, and of the program."""

_EACH_LENGTH_UP_TO = 17
_LENGTHS = (50, 129)
_COMPILERS = ("cc", "gcc", "clang")


class UncheckedExportWarning(UserWarning):
    """A file was exported without being compared with its model."""


@dataclass(frozen=True)
class Differences:
    """Results of a check.

    Parameters
    ----------
    to_program : float
        The greatest difference of a logit to the classifier that the file should compute.
    to_model : float
        The same to the original classifier; larger with int8 weights.
    """

    to_program: float
    to_model: float


def find_compiler() -> list[str] | None:
    """Return the command of the C compiler, `$CC` or a usual name; None if there is none.

    Raises
    ------
    ExportError
        If `$CC` is set but is not a program.
    """
    value = os.environ.get("CC", "")
    try:
        command = shlex.split(value)
    except ValueError as error:
        raise ExportError(
            f"CC is {value!r}, which is not a command: {error}; expected a C compiler. Correct CC, "
            "or unset it."
        ) from None
    if not command:
        found = next(filter(None, map(shutil.which, _COMPILERS)), None)
        return None if found is None else [found]
    if shutil.which(command[0]) is None:
        raise ExportError(
            f"CC is {command[0]!r}, which is not a program; expected a C compiler. Correct CC, or "
            "unset it."
        )
    return command


def check_source(
    source: CSource, stem: str, model: TrainedModel, seed: int, compiler: Sequence[str]
) -> Differences:
    """Compile and run a C program on random sequences, and compare its logits with the model.

    Parameters
    ----------
    source : CSource
    stem : str
        Name of the files without suffix.
    model : TrainedModel
        The original.
    seed : int
        Of the random sequences.
    compiler : sequence of str
        A command.

    Raises
    ------
    ExportError
        If the file cannot be compiled or run, or a logit differs by more than `TOLERANCE`.
    """
    longest = source.program.max_time
    lengths = [min(length, longest) for length in (_EACH_LENGTH_UP_TO, *_LENGTHS)]
    first, *others = random_sequences(model, lengths, np.random.default_rng(seed))
    arrays = [*(first[:length] for length in range(1, len(first) + 1)), *others]
    sequences = Sequences.from_arrays(arrays)
    logits = compute_logits(source.classifier, sequences)
    check_finite(logits, "the model")
    expected = logits.numpy()
    original = compute_logits(reference_of(model), sequences).numpy()
    actual, of_steps = _run(source, stem, arrays, compiler)
    if actual.size != expected.size:
        raise ExportError(
            f"the C file wrote {actual.size} logits; expected {expected.size}. Set CC to a C99 "
            "compiler for this machine."
        )
    actual = actual.reshape(expected.shape)
    limit = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    difference = _greatest(actual, expected)
    if not difference <= limit:
        raise ExportError(
            f"the logits of the C file differ from those of the model by up to {difference:.2g}; "
            f"expected at most {limit:.2g}. Nothing was written; please report this."
        )
    if source.program.has_step:
        found, wanted = _step_logits(
            source, of_steps.reshape(-1, expected.shape[1]), actual, arrays
        )
        of_step = _greatest(found, wanted)
        if not of_step <= limit:
            raise ExportError(
                f"the logits of {source.prefix}_step() differ from those of "
                f"{source.prefix}_predict() by up to {of_step:.2g}; expected at most "
                f"{limit:.2g}. Nothing was written; please report this."
            )
    return Differences(difference, _greatest(actual, original))


def _step_logits(
    source: CSource, of_steps: Array, actual: Array, arrays: Sequence[Array]
) -> tuple[Array, Array]:
    """Return logits after single steps, and those of the sequences that end there."""
    if source.program.labels_steps:
        return of_steps, actual
    ends = np.cumsum([len(array) for array in arrays])
    prefixes = len(arrays) - len(_LENGTHS)  # the last of them has the others as its beginnings
    first = ends[prefixes - 1] - prefixes
    found = np.concatenate([of_steps[ends - 1], of_steps[first : first + prefixes]])
    return found, np.concatenate([actual, actual[:prefixes]])


def _greatest(actual: Array, expected: Array) -> float:
    return float(np.abs(actual.astype(np.float64) - expected).max())


def _run(
    source: CSource, stem: str, arrays: Sequence[Array], compiler: Sequence[str]
) -> tuple[Array, Array]:
    """Return all logits of the sequence function and those of the step function, flat."""
    with tempfile.TemporaryDirectory(prefix="bothways-") as name:
        folder = Path(name)
        (folder / f"{stem}.c").write_text(source.source)
        (folder / f"{stem}.h").write_text(source.header)
        driver = f"{stem}_check.c"
        (folder / driver).write_text(source.check)
        with (folder / "inputs").open("wb") as file:
            for array in arrays:
                file.write(np.int32(len(array)).tobytes())
                file.write(np.ascontiguousarray(array, np.float32).tobytes())
        files = [f"./{stem}.c", f"./{driver}", "-o", "./check_program", "-lm"]
        _call([*compiler, *FLAGS, *files], folder, "compiling the C file")
        program = ["./check_program", "inputs", "logits", "step_logits"]
        _call(program, folder, "running the C file")
        logits, of_steps = (
            np.fromfile(folder / name, np.float32) for name in ("logits", "step_logits")
        )
        return logits, of_steps


def _call(command: Sequence[str], folder: Path, what: str) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ExportError(
            f"{what} takes more than {SECONDS} seconds; expected less. Export a smaller model."
        ) from None
    except OSError as error:
        raise ExportError(
            f"{what} failed: {command[0]}: {error.strerror}; expected a program that runs. Set CC "
            "to a C compiler, and TMPDIR to a folder that may contain programs."
        ) from None
    if done.returncode:
        lines = done.stderr.splitlines() or [f"exit status {done.returncode}"]
        reason = next((line for line in lines if "error" in line), lines[-1])
        raise ExportError(
            f"{what} failed: {reason.strip()}; expected no error. Set CC to a C99 compiler for "
            "this machine."
        )
