"""Score a part, and check all parts afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bothways.errors import DataError, counted
from bothways.models.predict_files import predict_files
from bothways.models.scoring.part_file import PartInfo, write_part
from bothways.models.scoring.parts import Part
from bothways.models.trained_model import TrainedModel

_MOST_NAMED = 5


@dataclass(frozen=True)
class Scored:
    """A part that has been scored, or whose file of sequences cannot be.

    Parameters
    ----------
    part : Part
    info : PartInfo, optional
        None if the file cannot be scored.
    notes : tuple of str
        How it was read.
    problem : str
        Why it cannot be scored.
    """

    part: Part
    info: PartInfo | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""


def score_part(model: TrainedModel, part: Part) -> Scored:
    """Write the predictions for a part; the file appears when it is complete.

    A DataError is not raised, because it concerns this part only; its message is in the result.

    Raises
    ------
    ConfigError
        As `predict_files`.
    OSError
        If the file cannot be written.
    """
    notes: list[str] = []
    try:
        answers = predict_files(
            model, [part.location], notes.append, aggregate=part.origin.aggregate
        )
        info = write_part(part.out, answers, part.origin)
    except DataError as error:
        return Scored(part, problem=str(error))
    return Scored(part, info, tuple(notes))


def check_complete(parts: Sequence[Part], infos: Mapping[Path, PartInfo]) -> None:
    """Check that all parts have predictions, and that no sequence goes on in the next file.

    Parameters
    ----------
    parts : sequence of Part
        In the order in which the files were named.
    infos : mapping
        What is known of the parts that have predictions, by their files.

    Raises
    ------
    DataError
        If a part has none, or the last sequence of a file has the name of the first sequence of
        the next file that has sequences.
    """
    missing = [str(part.location) for part in parts if part.out not in infos]
    if missing:
        more = f" and {len(missing) - _MOST_NAMED:,} more" if len(missing) > _MOST_NAMED else ""
        raise DataError(
            f"{counted(len(missing), 'file')} of {len(parts):,} cannot be predicted: "
            f"{', '.join(missing[:_MOST_NAMED])}{more}, for the reasons above; expected all. The "
            "others are done. Correct these files, and run the same command again."
        )
    before: PartInfo | None = None
    for part in parts:
        info = infos[part.out]
        if not info.sequences:
            continue
        if before is not None and before.last is not None and before.last == info.first:
            raise DataError(
                f"sequence {info.first!r} is in {before.origin.source} and in "
                f"{info.origin.source}, which were predicted separately; expected each sequence in "
                "one file. Predict them together, without --workers and with a file as --out, or "
                "write the files anew."
            )
        before = info
