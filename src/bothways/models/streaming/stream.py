"""Answers of a trained model while the steps of its sequences still come."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import torch
from torch import Tensor

from bothways.data.sequences import Sequences
from bothways.errors import DataError
from bothways.models.manifest import Manifest
from bothways.models.streaming.carried import Carried, StateTable, selected
from bothways.models.streaming.chunks import int64_tensor
from bothways.models.streaming.running_model import Floats, RunningModel
from bothways.models.streaming.saved_states import load_states, save_states

Key: TypeAlias = str | int


class Stream:
    """The open sequences of a model, which answers while their steps still come.

    `TrainedModel.stream` opens it.

    Parameters
    ----------
    model : RunningModel
        Of one or more streams.

    Attributes
    ----------
    bytes_per_sequence : int
        Size of the state of an open sequence, which does not depend on its length. The tables of
        the states have room for at most twice as many sequences as were open at the same time.

    Notes
    -----
    The probabilities have the same bits for all chunks in which the steps of a sequence come, and
    whatever other sequences are open, if the compiled engine runs the layers. They agree with
    `TrainedModel.predict_proba` on the steps so far to the rounding errors of float32.

    A stream must not be used by two threads at the same time.

    Examples
    --------
    >>> import numpy as np
    >>> from bothways import load
    >>> stream = load("runs/gestures-forward").stream()
    >>> answers = stream.push({"left": np.zeros((3, 3)), "right": np.ones((1, 3))})
    >>> {key: probabilities.shape for key, probabilities in answers.items()}
    {'left': (3, 2), 'right': (1, 2)}
    >>> stream.push({"right": np.ones((2, 3))})["right"].shape
    (2, 2)
    >>> stream.close("left").shape, list(stream)
    ((0, 2), ['right'])
    """

    def __init__(self, model: RunningModel) -> None:
        self._model = model
        self._table = StateTable(model.initial)
        self._rows: dict[Key, int] = {}
        self.bytes_per_sequence = self._table.row_bytes

    def __len__(self) -> int:
        """Return the number of open sequences."""
        return len(self._rows)

    def __contains__(self, key: object) -> bool:
        """Return whether a sequence is open."""
        return key in self._rows

    def __iter__(self) -> Iterator[Key]:
        """Return the keys of the open sequences, in the order in which they were opened."""
        return iter(self._rows)

    @property
    def state_bytes(self) -> int:
        """Size of the tables of all states, with the rows that are free."""
        return self._table.capacity * self._table.row_bytes

    @property
    def manifest(self) -> Manifest:
        """The content of the model's `config.json`."""
        return self._model.manifest

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.manifest.classes

    def push(self, steps: Mapping[Key, Any]) -> dict[Key, Floats]:
        """Add the next steps of some sequences, all in one batch, and return the new answers.

        Parameters
        ----------
        steps : mapping
            For each key, a str or int that names the sequence, a float array (time_i, input_size)
            or a data frame, with at least one step. New keys open sequences.

        Returns
        -------
        dict of float64 arrays (answers_i, num_classes)
            Probabilities, by key. If the model labels sequences: after each of the steps. If it
            labels time steps: of the steps whose label is now final. These are the steps
            themselves or, if the model has a lookahead or a stem, earlier ones. All answers of a
            sequence end to end, with those of `close`, are those of `predict_proba`.

        Raises
        ------
        DataError, ShapeError
            As `TrainedModel.predict_proba`, and if `steps` is no mapping, or a key is neither a
            str nor an int. The message numbers the sequences of this call.

        Notes
        -----
        After an error of any kind, the stream is as it was before.
        """
        if not isinstance(steps, Mapping):
            raise DataError(
                f"steps is a {type(steps).__name__}; expected a dict with the next steps of each "
                "sequence. Pass {key: array}."
            )
        if not steps:
            return {}
        keys = _checked_keys(steps)
        chunks = self._model.reader.read(list(steps.values()))
        new = [key for key in keys if key not in self._rows]
        self._open(new)
        rows = int64_tensor([self._rows[key] for key in keys])
        try:
            answers, carried = self._run(chunks, self._table.read(rows))
        except BaseException:
            self._free(new)
            raise
        self._table.write(rows, carried)
        return dict(zip(keys, answers, strict=True))

    def close(self, key: Key) -> Floats:
        """End a sequence, free its state, and return the answers that are pending.

        Parameters
        ----------
        key : str or int

        Returns
        -------
        float64 array (answers, num_classes)
            Probabilities of the last steps, if the model labels time steps and has a lookahead or
            a stem; otherwise, there are no pending answers.

        Raises
        ------
        DataError
            If there is no open sequence with this key.
        """
        return self.close_all([key])[key]

    def close_all(self, keys: Iterable[Key] | None = None) -> dict[Key, Floats]:
        """Close several sequences, all in one batch.

        Parameters
        ----------
        keys : iterable of str or int, optional
            Default: all open sequences.

        Returns
        -------
        dict of float64 arrays (answers_i, num_classes)
            See `close`.

        Raises
        ------
        DataError
            If there is no open sequence with one of these keys. None is closed.
        """
        keys = list(self._rows if keys is None else dict.fromkeys(keys))
        for key in keys:
            if key not in self._rows:
                raise DataError(
                    f"no sequence {key!r} is open; expected the key of one of the {len(self)} open "
                    "sequences. Push its steps first."
                )
        if not keys:
            return {}
        rows = int64_tensor([self._rows[key] for key in keys])
        with torch.inference_mode():
            answers = self._model.finish(self._table.read(rows))
        self._free(keys)
        return dict(zip(keys, answers, strict=True))

    def save(self, path: str | Path) -> None:
        """Write the states of all open sequences to a safetensors file.

        Equal states of equal keys give equal bytes.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        rows = int64_tensor(list(self._rows.values()))
        save_states(Path(path), self._model.sha256, list(self._rows), self._table.read(rows))

    def load(self, path: str | Path) -> Self:
        """Replace all open sequences by those in a file of `save`, and return this stream.

        Raises
        ------
        CheckpointError
            If the file is missing or damaged, or of another model. The stream is not changed.
        """
        keys, carried = load_states(Path(path), self._model.sha256, self._model.initial)
        self._table, self._rows = StateTable(self._model.initial), {}
        self._open(keys)
        self._table.write(int64_tensor(list(self._rows.values())), carried)
        return self

    def _open(self, keys: list[Key]) -> None:
        self._rows |= {key: self._table.open() for key in keys}

    def _free(self, keys: list[Key]) -> None:
        for key in keys:
            self._table.close(self._rows.pop(key))

    def _run(self, chunks: Sequences, carried: Carried) -> tuple[list[Floats], Carried]:
        """Return the answers to the next steps of all rows, and the states after them."""
        found = []
        with torch.inference_mode():
            for chosen, inputs, lengths in self._model.reader.pieces(chunks):
                has_all = len(chosen) == len(chunks)
                own = carried if has_all else selected(carried, chosen)
                found.append((chosen, self._model.run(inputs, lengths, own)))
                if not has_all:
                    carried = {
                        name: tensor.index_copy(0, chosen, own[name])
                        for name, tensor in carried.items()
                    }
        return _joined(found), carried


def _checked_keys(keys: Mapping[Any, Any]) -> list[Key]:
    """Return the keys of sequences, numpy's integers as int."""
    if set(map(type, keys)) <= {str, int}:  # the usual case, without delay
        return list(keys)
    checked: list[Key] = []
    for key in keys:
        if isinstance(key, bool) or not isinstance(key, str | int | np.integer):
            raise DataError(
                f"a sequence has the key {key!r} of type {type(key).__name__}; expected str or "
                "int. Convert the key."
            )
        checked.append(int(key) if isinstance(key, np.integer) else key)
    return checked


def _joined(pieces: list[tuple[Tensor, list[Floats]]]) -> list[Floats]:
    """Return the answers of each row, from pieces of some rows; the first one has all rows."""
    (_, first), *others = pieces
    if not others:
        return first
    parts = [[answers] for answers in first]
    for rows, found in others:
        for row, answers in zip(rows.tolist(), found, strict=True):
            parts[row].append(answers)
    return [np.concatenate(answers) for answers in parts]
