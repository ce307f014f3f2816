"""The recurrent cells: their gates, the order of the gates, and their states.

Gate order is stated in this module only. Weights stack the gates along their first axis in this
order, as in `torch.nn`.
"""

from dataclasses import dataclass

from bothways.errors import ConfigError


@dataclass(frozen=True)
class Cell:
    """One kind of recurrent cell.

    Parameters
    ----------
    mode : str
        The `mode` of `torch.nn.RNNBase`.
    gates : tuple of str
        In the order in which `weight_ih` and `weight_hh` stack them.
    states : tuple of str
        `("h", "c")` if the cell has a separate memory cell, otherwise `("h",)`.
    """

    mode: str
    gates: tuple[str, ...]
    states: tuple[str, ...] = ("h",)


RNN_TANH = Cell("RNN_TANH", gates=("hidden",))
RNN_RELU = Cell("RNN_RELU", gates=("hidden",))
GRU = Cell("GRU", gates=("reset", "update", "new"))
LSTM = Cell("LSTM", gates=("input", "forget", "cell", "output"), states=("h", "c"))

CELLS = {cell.mode: cell for cell in (RNN_TANH, RNN_RELU, GRU, LSTM)}

_BY_NAME = {
    ("rnn", "tanh"): RNN_TANH,
    ("rnn", "relu"): RNN_RELU,
    ("gru", "tanh"): GRU,
    ("lstm", "tanh"): LSTM,
}


def cell_named(cell: str, nonlinearity: str = "tanh") -> Cell:
    """Return the cell of a given name and, for an RNN, `nonlinearity`.

    Raises
    ------
    ConfigError
        If there is no such cell.

    Examples
    --------
    >>> cell_named("gru").gates
    ('reset', 'update', 'new')
    """
    try:
        return _BY_NAME[cell, nonlinearity]
    except KeyError:
        raise ConfigError(
            f"cell {cell!r} with nonlinearity {nonlinearity!r} is unknown; expected rnn (tanh or "
            "relu), gru or lstm (tanh). Omit nonlinearity for gru and lstm."
        ) from None
