"""The classifier: encoder and stem if asked for, recurrent layers, readout, linear layer.

>>> import torch
>>> model = SequenceClassifier(ModelConfig(input_size=28, num_classes=10, hidden_size=16))
>>> model(torch.rand(4, 28, 28), lengths=[28, 9, 1, 20]).shape
torch.Size([4, 10])
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bothways.config import ModelConfig
from bothways.errors import ShapeError
from bothways.kernels.cells import cell_named
from bothways.kernels.interface import States
from bothways.kernels.lengths import checked_lengths
from bothways.nn.pooling import READOUTS
from bothways.nn.preprocessing import FeatureEncoder
from bothways.nn.recurrent import RecurrentLayers
from bothways.nn.stem import ConvolutionalStem


class SequenceClassifier(nn.Module):
    """Says which class each sequence of a padded batch, or each step of it, belongs to.

    A row's logits depend on its own valid steps alone: not on the padding, not on the other rows.

    Parameters
    ----------
    config : ModelConfig
    backend : str
        See `bothways.kernels.BACKENDS`.

    Notes
    -----
    With readout `last` in a bidirectional net, the backward direction contributes one step only,
    the last, as in many tutorials; use `final` (the default) for both directions' full reading.
    """

    temperature: Tensor

    def __init__(self, config: ModelConfig, *, backend: str = "auto") -> None:
        super().__init__()
        self.config = config
        encoded = (
            config.standardize
            or config.input_jitter
            or config.missing != "refuse"
            or any(config.categories)
        )
        self.encoder = FeatureEncoder(config) if encoded else None
        size = config.input_size if self.encoder is None else self.encoder.encoded_size
        self.stem = None if config.stem_channels is None else ConvolutionalStem(config, size)
        self.layers = RecurrentLayers(
            cell_named(config.cell, config.nonlinearity),
            config.stem_channels or size,
            config.hidden_size,
            num_layers=config.num_layers,
            batch_first=True,
            dropout=config.dropout if config.num_layers > 1 else 0.0,
            bidirectional=config.bidirectional,
            backend=backend,
        )
        self.readout = READOUTS[config.readout](config, self.layers.output_size)
        self.linear = nn.Linear(self.readout.features_size, config.num_classes)
        if config.calibrate:
            self.register_buffer("temperature", torch.ones(()))

    def forward(self, inputs: Tensor, lengths: Any = None) -> Tensor:
        """Return logits.

        Parameters
        ----------
        inputs : Tensor (batch, time, input_size)
            Steps at or past `lengths` never affect any result.
        lengths : int64 Tensor or list (batch,), 1 <= lengths <= time, optional
            Each row as long as the time axis where not given.

        Returns
        -------
        logits : Tensor (batch, num_classes); with readout step (batch, time, num_classes)
            There, what stands at or past `lengths` means nothing.

        Raises
        ------
        ShapeError
            If `inputs` or `lengths` do not fit, or a row is too long for readout `flatten`.
        """
        if inputs.dim() != 3:
            raise ShapeError(
                f"inputs has shape {tuple(inputs.shape)}; expected (batch, time, "
                f"{self.config.input_size}). Add the missing axis."
            )
        batch_size, time, _ = inputs.shape
        if lengths is None:
            lengths = torch.full((batch_size,), time)
        else:
            lengths = checked_lengths(lengths, batch_size, time)
        if self.encoder is not None:
            inputs = self.encoder(inputs)
        if self.stem is not None:
            inputs, lengths = self.stem(inputs, lengths)
        features = self.readout(self.layers, inputs, lengths, self._initial(inputs))
        logits: Tensor = self.linear(
            functional.dropout(features, self.config.dropout, self.training)
        )
        return logits / self.temperature if self.config.calibrate else logits

    def _initial(self, inputs: Tensor) -> States | None:
        if self.config.initial_state == "zeros" or not self.training:
            return None
        num_states = self.config.num_layers * self.layers.num_directions
        shape = (num_states, len(inputs), self.config.hidden_size)
        return tuple(
            torch.randn(shape, dtype=inputs.dtype, device=inputs.device)
            for _ in self.layers.cell.states
        )
