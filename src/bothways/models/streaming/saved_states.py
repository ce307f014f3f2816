"""Files of the states of open sequences: a tensor file, with the names of the sequences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from bothways.errors import CheckpointError, counted
from bothways.models.streaming.carried import Carried
from bothways.storage.tensors import load_tensors, save_tensors

_KIND = "states of open sequences"


def save_states(
    path: Path, model_sha256: str, keys: Sequence[str | int], carried: Mapping[str, Tensor]
) -> None:
    """Write the states of sequences; equal states give equal bytes.

    Parameters
    ----------
    path : Path
    model_sha256 : str
        Checksum of the model.
    keys : sequence of str or int
        The names of the sequences.
    carried : dict of Tensor (sequences, ...)

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    facts = {"kind": _KIND, "keys": list(keys), "model_sha256": model_sha256}
    save_tensors(path, carried, facts)


def load_states(
    path: Path, model_sha256: str, initial: Mapping[str, Tensor]
) -> tuple[list[str | int], Carried]:
    """Return the names and the states of the sequences in a file.

    Parameters
    ----------
    path : Path
    model_sha256 : str
        Checksum of the model that continues the sequences.
    initial : dict of Tensor
        The state of a sequence without steps, without a batch axis.

    Raises
    ------
    CheckpointError
        If the file is missing or damaged, or of another model.
    """
    carried, facts = load_tensors(path)
    if facts.get("kind") != _KIND:
        raise CheckpointError(
            f"{path} contains no {_KIND}; expected a file that Stream.save has written. Check the "
            "path."
        )
    if facts.get("model_sha256") != model_sha256:
        raise CheckpointError(
            f"{path} contains the states of another model; expected those of this one, with the "
            "same weights. Load the model that the stream was opened with."
        )
    keys: Any = facts.get("keys")
    are_keys = isinstance(keys, list) and all(isinstance(key, str | int) for key in keys)
    count = len(set(keys)) if are_keys else 0
    expected = {name: ((count, *row.shape), row.dtype) for name, row in initial.items()}
    found = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in carried.items()}
    if found != expected or not are_keys or count < len(keys):
        raise CheckpointError(
            f"{path} is damaged: its tensors do not fit the states of {counted(count, 'sequence')} "
            "of this model. Restore it from a copy."
        )
    return keys, carried
