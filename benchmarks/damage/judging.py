"""Damage a file, read it, and judge what happened."""

import io
import resource
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from bothways.errors import BothwaysError
from damage.bytes_and_text import BYTES, Mutation, truncate
from damage.samples import Reading, Sample

SECONDS = 10.0
"""A reading that takes more seconds of the processor is a fault; a sample takes a tenth of one."""

GROWTH_BYTES = 256 << 20
"""A reading whose process grows by more is a fault; the samples have some kilobytes."""

MESSAGE_CHARACTERS = 1000

Outcome = Literal["refused", "same", "other values", "fault"]


@dataclass(frozen=True)
class Verdict:
    """What reading a damaged file did.

    Parameters
    ----------
    outcome : refused, same, other values or fault
        Refused in one line; read with the values of the valid file; read with other values, which
        a format without checksum allows; or anything else.
    reason : str
        The error, if there was one.
    mutations : tuple of str
        What damaged the file.
    """

    outcome: Outcome
    reason: str = ""
    mutations: tuple[str, ...] = ()


class Examiner:
    """Damages the file of a sample, reads it, and restores it.

    Parameters
    ----------
    sample : Sample
    folder : Path
        Of the samples.

    Attributes
    ----------
    path : Path
        The file.
    damaged : bytes
        What it contained when it was last examined.
    """

    def __init__(self, sample: Sample, folder: Path) -> None:
        self.sample = sample
        self.path = folder / sample.name / sample.file
        self._target = folder / sample.name / sample.target
        self._valid = self.path.read_bytes()
        self.damaged = self._valid
        self._expected = [_quietly(reading, self._target) for reading in sample.readings]

    def examine(self, random: Random) -> Verdict:
        """Damage the file at random, and return the worst of its readings."""
        content, mutations = self._damaged(random)
        names = tuple(mutation.__name__ for mutation in mutations)
        self.damaged = content
        self.path.write_bytes(content)
        try:
            outcomes = [self._read(n, mutations) for n in range(len(self.sample.readings))]
        finally:
            self.path.write_bytes(self._valid)
        worst = max(outcomes, key=lambda verdict: _ORDER.index(verdict.outcome))
        return Verdict(worst.outcome, worst.reason, names)

    def _damaged(self, random: Random) -> tuple[bytes, list[Mutation]]:
        content, mutations = self._valid, list[Mutation]()
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            known = self.sample.mutations if random.random() < 0.6 else ()
            mutation = random.choice(known or BYTES)
            try:
                content = mutation(content, random)
            except Exception:  # the file is already so damaged that its format is gone
                mutation = truncate
                content = mutation(content, random)
            mutations.append(mutation)
        return content, mutations

    def _read(self, which: int, mutations: Sequence[Mutation]) -> Verdict:
        before, started = _peak_bytes(), time.process_time()
        try:
            found = _quietly(self.sample.readings[which], self._target)
        except BothwaysError as error:
            verdict = self._refusal(error)
        except (Exception, MemoryError) as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            verdict = Verdict("fault", f"{type(error).__name__} in {where}: {str(error)[:300]}")
        else:
            verdict = self._reading(found == self._expected[which], mutations)
        if (grown := _peak_bytes() - before) > GROWTH_BYTES:
            return Verdict("fault", f"the memory grew by {grown >> 20} MiB; {verdict.reason}")
        if (seconds := time.process_time() - started) > SECONDS:
            return Verdict("fault", f"reading took {seconds:.0f} s; {verdict.reason}")
        return verdict

    def _refusal(self, error: BothwaysError) -> Verdict:
        message = str(error)
        if "\n" in message or "\r" in message:
            return Verdict("fault", f"a message of several lines: {message[:300]!r}")
        if len(message) > MESSAGE_CHARACTERS:
            return Verdict("fault", f"a message of {len(message)} characters: {message[:300]}")
        names = (self.path.name, self._target.name, self.path.parent.name, self.sample.refers_to)
        if not any(name in message for name in names if name):
            return Verdict("fault", f"a message that does not name the file: {message[:300]}")
        return Verdict("refused", message)

    def _reading(self, is_same: bool, mutations: Sequence[Mutation]) -> Verdict:
        if is_same:
            return Verdict("same")
        if self.sample.has_checksum and all(mutation in BYTES for mutation in mutations):
            return Verdict("fault", "a changed file was read as something else")
        if self.sample.has_size and list(mutations) == [truncate]:
            return Verdict("fault", "a truncated file was read")
        return Verdict("other values")


_ORDER: tuple[Outcome, ...] = ("same", "refused", "other values", "fault")


def _quietly(reading: Reading, target: Path) -> str:
    """Read without output; warnings are not errors."""
    with (
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        return reading(target)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
