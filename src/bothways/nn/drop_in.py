"""RNN, GRU and LSTM: drop-in replacements for the layers of `torch.nn` with ragged batches.

They are subclasses of the layers of `torch.nn`, with the same constructor, call, results and weight
names, so that `load_state_dict` works in both directions. In addition, `lengths=` gives the lengths
of the rows of a padded tensor, in any order, without packing.

>>> import torch
>>> from bothways.nn.drop_in import LSTM
>>> lstm = LSTM(3, 5, bidirectional=True, batch_first=True)
>>> outputs, (h_n, c_n) = lstm(torch.randn(2, 7, 3), lengths=torch.tensor([7, 4]))
>>> outputs.shape, bool((outputs[1, 4:] == 0).all())
(torch.Size([2, 7, 10]), True)
"""

from typing import Any

import torch
from torch import Tensor

from bothways.kernels.cells import cell_named
from bothways.nn.recurrent import RecurrentLayers, Steps

__all__ = ["GRU", "LSTM", "RNN"]


class _HiddenStateLayers(RecurrentLayers):
    """Layers with a hidden state only: RNN and GRU."""

    def forward(
        self, input: Steps, hx: Tensor | None = None, *, lengths: Any = None
    ) -> tuple[Steps, Tensor]:
        """Run all layers over `input`.

        Parameters
        ----------
        input : Tensor or PackedSequence
            See `RecurrentLayers.outputs`.
        hx : Tensor (num_layers * num_directions, batch, hidden_size), optional
            Initial states `h_0`; default: zeros.
        lengths : int64 Tensor or list (batch,), optional

        Returns
        -------
        outputs : Tensor or PackedSequence, as `input`
            Zero at and past `lengths`.
        h_n : Tensor, shaped as `hx`

        Raises
        ------
        ShapeError
            If the arguments do not fit each other or the weights.
        """
        outputs, (h_n,) = self.run(input, None if hx is None else (hx,), lengths)
        return outputs, h_n


class RNN(_HiddenStateLayers, torch.nn.RNN):
    """Elman RNN with tanh or relu; `torch.nn.RNN` with ragged batches.

    Parameters
    ----------
    input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout, bidirectional, \
    device, dtype
        As in `torch.nn.RNN`.
    backend : str
        One of `bothways.kernels.BACKENDS`.
    precision : str
        One of `bothways.kernels.PRECISIONS`, see `RecurrentLayers`.

    References
    ----------
    Elman 1990; meaning and weights as `torch.nn.RNN`.

    Examples
    --------
    >>> import torch
    >>> from bothways.nn import RNN
    >>> rnn = RNN(3, 8, batch_first=True, bidirectional=True)
    >>> outputs, h_n = rnn(torch.rand(2, 5, 3), lengths=[5, 2])
    >>> outputs.shape, h_n.shape, outputs[1, 2:].any().item()
    (torch.Size([2, 5, 16]), torch.Size([2, 2, 8]), False)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        backend: str = "auto",
        precision: str = "float32",
    ) -> None:
        cell_named("rnn", nonlinearity)  # raises ConfigError if there is no such cell
        super().__init__(
            input_size,
            hidden_size,
            num_layers=num_layers,
            nonlinearity=nonlinearity,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            device=device,
            dtype=dtype,
            backend=backend,
            precision=precision,
        )


class GRU(_HiddenStateLayers, torch.nn.GRU):
    """Gated recurrent unit; `torch.nn.GRU` with ragged batches.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype
        As in `torch.nn.GRU`.
    backend : str
        One of `bothways.kernels.BACKENDS`.
    precision : str
        One of `bothways.kernels.PRECISIONS`, see `RecurrentLayers`.

    References
    ----------
    Cho et al. 2014; meaning, weights and gate order as `torch.nn.GRU`.

    Examples
    --------
    >>> import torch
    >>> from bothways.nn import GRU
    >>> gru = GRU(3, 8, batch_first=True, bidirectional=True)
    >>> outputs, h_n = gru(torch.rand(2, 5, 3), lengths=[5, 2])
    >>> outputs.shape, h_n.shape, outputs[1, 2:].any().item()
    (torch.Size([2, 5, 16]), torch.Size([2, 2, 8]), False)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        backend: str = "auto",
        precision: str = "float32",
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            device=device,
            dtype=dtype,
            backend=backend,
            precision=precision,
        )


class LSTM(RecurrentLayers, torch.nn.LSTM):
    """Long short-term memory; `torch.nn.LSTM` with ragged batches.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, \
    device, dtype
        As in `torch.nn.LSTM`.
    backend : str
        One of `bothways.kernels.BACKENDS`.
    precision : str
        One of `bothways.kernels.PRECISIONS`, see `RecurrentLayers`.

    References
    ----------
    Hochreiter & Schmidhuber 1997; Gers et al. 2000; Sak et al. 2014 for `proj_size`. Meaning,
    weights and gate order as `torch.nn.LSTM`.

    Examples
    --------
    >>> import torch
    >>> from bothways.nn import LSTM
    >>> lstm = LSTM(3, 8, batch_first=True, bidirectional=True)
    >>> outputs, (h_n, c_n) = lstm(torch.rand(2, 5, 3), lengths=[5, 2])
    >>> outputs.shape, h_n.shape, outputs[1, 2:].any().item()
    (torch.Size([2, 5, 16]), torch.Size([2, 2, 8]), False)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        backend: str = "auto",
        precision: str = "float32",
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=proj_size,
            device=device,
            dtype=dtype,
            backend=backend,
            precision=precision,
        )

    def forward(
        self, input: Steps, hx: tuple[Tensor, Tensor] | None = None, *, lengths: Any = None
    ) -> tuple[Steps, tuple[Tensor, Tensor]]:
        """Run all layers over `input`.

        Parameters
        ----------
        input : Tensor or PackedSequence
            See `RecurrentLayers.outputs`.
        hx : tuple of h_0 (num_layers * num_directions, batch, proj_size or hidden_size) and \
        c_0 (num_layers * num_directions, batch, hidden_size), optional
            Initial states; default: zeros.
        lengths : int64 Tensor or list (batch,), optional

        Returns
        -------
        outputs : Tensor or PackedSequence, as `input`
            Zero at and past `lengths`.
        (h_n, c_n) : tuple of Tensor, shaped as `hx`

        Raises
        ------
        ShapeError
            If the arguments do not fit each other or the weights.
        """
        outputs, states = self.run(input, hx, lengths)
        h_n, c_n = states
        return outputs, (h_n, c_n)
