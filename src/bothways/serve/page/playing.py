"""The answer to `/playback`: one sequence, its prediction, and how the model reads it."""

from collections.abc import Sequence

from pydantic_core import to_json

from bothways.models.trained_model import TrainedModel
from bothways.pages.playback_json import playback_json
from bothways.serve.answers import prediction
from bothways.serve.errors import RequestError
from bothways.serve.rows import Floats, RowwiseModel

LONGEST = 5000
"""Time steps of the longest sequence that is played back."""


def check_playable(arrays: Sequence[Floats]) -> None:
    """Raise an error unless there is one sequence that can be played back.

    Raises
    ------
    RequestError
        422 if there are several sequences, 413 if the sequence is too long.
    """
    if len(arrays) != 1:
        raise RequestError(
            422, f"there are {len(arrays)} sequences; expected one. Send a single sequence."
        )
    if len(arrays[0]) > LONGEST:
        raise RequestError(
            413,
            f"the sequence has {len(arrays[0]):,} time steps; expected at most {LONGEST:,} to play "
            "it back. Cut it, or send it to /predict.",
        )


def played(model: TrainedModel, arrays: Sequence[Floats]) -> bytes:
    """Return the prediction and the playback of one sequence as JSON."""
    (probabilities,) = RowwiseModel(model.classifier).probabilities(arrays)
    return to_json(
        {
            "prediction": prediction(model.manifest, probabilities),
            "playback": playback_json(model, arrays[0]),
        }
    )
