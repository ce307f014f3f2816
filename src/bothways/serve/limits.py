"""Limits of requests to a served model."""

from pydantic import Field

from bothways.config import Settings


class Limits(Settings):
    """What the server accepts; each default is stated here only.

    Parameters
    ----------
    body_bytes : int
        Size of the body of a request, or of a message in a stream; of a `.npz` file, also the size
        of its arrays.
    sequences : int
        Sequences in a request, or open at the same time in a stream.
    steps : int
        Time steps of all sequences in a request.
    seconds : float
        Time from the end of a request to its answer.
    client_seconds : float
        Time that a client may take to send its headers, then to send its body, and to read each
        part of the answer.
    idle_seconds : float
        Time that the client of a stream may send nothing.
    queue : int
        Requests that are being received, or wait for their answers, and open streams.
    held_bytes : int
        Memory of the bodies and arrays of these requests together, and of the states of streams.

    Examples
    --------
    >>> Limits(sequences=0)
    Traceback (most recent call last):
    ...
    bothways.errors.ConfigError: sequences is 0; expected greater than or equal to 1. ...
    """

    body_bytes: int = Field(default=8 << 20, ge=1)
    sequences: int = Field(default=1000, ge=1)
    steps: int = Field(default=100_000, ge=1)
    seconds: float = Field(default=30.0, gt=0)
    client_seconds: float = Field(default=10.0, gt=0)
    idle_seconds: float = Field(default=300.0, gt=0)
    queue: int = Field(default=256, ge=1)
    held_bytes: int = Field(default=128 << 20, ge=1)
