"""Categorical features: each category is represented by a number in a sequence's values."""

from collections.abc import Iterable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

UNKNOWN = 0
"""The number of any category that is not in a vocabulary."""

MAX_TOKENS = 1 << 16
"""A feature with more categories raises an error: it probably holds names or times."""


class Vocabulary:
    """The categories of a feature, numbered from 1.

    Parameters
    ----------
    tokens : iterable of str
        The known categories in the order of their numbers.
    grows : bool
        Whether a new category gets the next number. Otherwise its number is `UNKNOWN`.
    """

    def __init__(self, tokens: Iterable[str] = (), *, grows: bool) -> None:
        self._numbers = {token: n for n, token in enumerate(tokens, start=1)}
        self._grows = grows

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The categories in the order of their numbers."""
        return tuple(self._numbers)

    def numbers(self, texts: Array) -> Array:
        """Return the number of each text, int64 (count,).

        Examples
        --------
        >>> Vocabulary(["open", "close"], grows=False).numbers(np.array(["close", "kick"]))
        array([2, 0])
        """
        names, which = np.unique(texts, return_inverse=True)
        return np.array([self._number(str(name)) for name in names])[which]

    def _number(self, token: str) -> int:
        if self._grows:
            return self._numbers.setdefault(token, len(self._numbers) + 1)
        return self._numbers.get(token, UNKNOWN)
