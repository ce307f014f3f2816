"""Score parts, one after the other."""

from collections.abc import Iterable
from dataclasses import dataclass

from bothways.errors import DataError
from bothways.models.predict_files import predict_files
from bothways.models.scoring.part_file import PartInfo, read_info, write_part
from bothways.models.scoring.parts import Part
from bothways.models.trained import TrainedModel


@dataclass(frozen=True)
class Scored:
    """A part that has been scored.

    Parameters
    ----------
    info : PartInfo
    notes : tuple of str
        How its file was read.
    """

    info: PartInfo
    notes: tuple[str, ...]


def score_part(model: TrainedModel, part: Part, *, aggregate: bool = False) -> Scored:
    """Write the predictions for a part; the file appears when it is complete.

    Raises
    ------
    ConfigError, DataError
        As `predict_files`.
    OSError
        If the file cannot be written.
    """
    notes: list[str] = []
    answers = predict_files(model, [part.location], notes.append, aggregate=aggregate)
    info = write_part(part.out, answers, part.model, str(part.location))
    return Scored(info, tuple(notes))


def check_borders(parts: Iterable[Part]) -> None:
    """Raise DataError if a sequence begins in one file of a table and goes on in the next one."""
    for part in parts:
        if part.follows is None:
            continue
        before, after = read_info(part.follows), read_info(part.out)
        if before and after and before.sequences and before.last == after.first:
            raise DataError(
                f"sequence {after.first!r} is in {before.source} and in {after.source}, which were "
                "predicted separately; expected each sequence in one file. Predict them together, "
                "without --workers and with a file as --out, or write the files anew."
            )
