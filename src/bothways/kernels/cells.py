"""What the recurrent cells are: their gates, the order of the gates, and their states.

The one place where gate order is stated. Weights stack the gates along their first axis in this
order, as `torch.nn` does.
"""

from dataclasses import dataclass

from bothways.errors import ConfigError


@dataclass(frozen=True)
class Cell:
    """One kind of recurrent cell.

    Parameters
    ----------
    mode : str
        `torch.nn.RNNBase`'s name for it.
    gates : tuple of str
        In the order in which `weight_ih` and `weight_hh` stack them.
    states : tuple of str
        `("h",)`, or `("h", "c")` where the cell carries a separate memory.
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
    """Return the cell that a user names by `cell` and, for an RNN, its `nonlinearity`.

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
            "relu), gru or lstm (tanh). Leave nonlinearity out for gru and lstm."
        ) from None
