"""The classifier: preprocessing, convolutional stem, recurrent layers, readout, linear layer.

>>> import torch
>>> model = SequenceClassifier(ModelConfig(input_size=28, num_classes=10, hidden_size=16))
>>> model(torch.rand(4, 28, 28), lengths=[28, 9, 1, 20]).shape
torch.Size([4, 10])
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from bothways.config import ModelConfig
from bothways.errors import ConfigError, ShapeError
from bothways.kernels.draws import Draws
from bothways.kernels.dropout import dropout
from bothways.kernels.lengths import Lengths
from bothways.kernels.torch_internals import has_hooks
from bothways.nn.drop_in import GRU, LSTM, RNN
from bothways.nn.lookahead import Chunks, limited_outputs
from bothways.nn.pooling import make_pooling
from bothways.nn.preprocessing import CategoryEmbedding, FeatureEncoder
from bothways.nn.recurrent import RecurrentLayers
from bothways.nn.size import check_size
from bothways.nn.stem import ConvolutionalStem

_LAYERS: dict[str, type[RecurrentLayers]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


class TorchClassifier(nn.Module, ABC):
    """Base class of the classifiers that torch runs: a network, or an `Ensemble` of networks.

    Parameters
    ----------
    config : ModelConfig

    Attributes
    ----------
    temperature : float32 Tensor ()
        Exists only with `config.calibrate`.
    """

    temperature: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        check_size(config)
        self.config = config
        if config.calibrate:
            self.register_buffer("temperature", torch.ones((), dtype=torch.float32))

    @property
    @abstractmethod
    def networks(self) -> list["SequenceClassifier"]:
        """The networks whose probabilities are averaged, `config.members` of them."""

    def draw_from(self, draws: Draws) -> None:
        """Draw dropout, jitter and random initial states from `draws` from now on."""
        for module in self.modules():
            if isinstance(module, RecurrentLayers | FeatureEncoder | CategoryEmbedding):
                module.draws = draws

    def calibrated(self, logits: Tensor) -> Tensor:
        """Return logits, divided by the temperature if there is one."""
        return logits / self.temperature if self.config.calibrate else logits

    def reset_buffers(self) -> None:
        """Set the temperature to 1."""
        if self.config.calibrate:
            self.temperature.fill_(1.0)


class SequenceClassifier(TorchClassifier):
    """Recurrent classifier of sequences, or of their time steps.

    The logits of a row depend only on its valid time steps, not on padding or other rows. The
    weights are float32, whatever torch's default dtype is.

    Parameters
    ----------
    config : ModelConfig
        With one member; see `Ensemble` for several.
    backend : str
        One of `bothways.kernels.BACKENDS`.

    Notes
    -----
    With readout `last` in a bidirectional network, the backward direction contributes one time step
    only, as in many tutorials. `final`, the default, uses both directions fully.

    Examples
    --------
    >>> import torch
    >>> from bothways import ModelConfig
    >>> network = SequenceClassifier(ModelConfig(input_size=3, num_classes=4, hidden_size=8))
    >>> network(torch.rand(2, 5, 3), lengths=[5, 2]).shape
    torch.Size([2, 4])
    """

    def __init__(self, config: ModelConfig, *, backend: str = "auto") -> None:
        if config.members > 1:
            raise ConfigError(
                f"members is {config.members} but a SequenceClassifier is one network; expected 1. "
                "Use bothways.nn.Ensemble."
            )
        super().__init__(config)
        encoded = (
            config.normalization != "none"
            or config.input_jitter
            or config.missing != "refuse"
            or any(config.categories)
        )
        self.encoder = FeatureEncoder(config) if encoded else None
        size = config.encoded_size
        self.stem = None if config.stem_channels is None else ConvolutionalStem(config, size)
        self.layers = _LAYERS[config.cell](
            config.stem_channels or size,
            config.hidden_size,
            num_layers=config.num_layers,
            batch_first=True,
            dropout=config.dropout if config.num_layers > 1 else 0.0,
            bidirectional=config.bidirectional,
            dtype=torch.float32,
            backend=backend,
            **({"nonlinearity": config.nonlinearity} if config.cell == "rnn" else {}),
        )
        self.readout = make_pooling(config, self.layers.output_size)
        self.linear = nn.Linear(self.readout.features_size, config.num_classes, dtype=torch.float32)

    @property
    def networks(self) -> list["SequenceClassifier"]:
        """The network itself."""
        return [self]

    def forward(self, inputs: Tensor, lengths: Any = None) -> Tensor:
        """Return logits.

        Parameters
        ----------
        inputs : Tensor (batch, time, input_size)
            Steps at or past `lengths` never affect any result.
        lengths : int64 Tensor or list (batch,), 1 <= lengths <= time, optional
            Default: every row has `time` steps.

        Returns
        -------
        logits : Tensor (batch, num_classes); with readout step (batch, time, num_classes)
            With readout step, those at and past `lengths` are meaningless.

        Raises
        ------
        ShapeError
            If `inputs` or `lengths` do not fit, or a row is too long for readout `flatten`.
        """
        features = self.features(inputs, lengths)
        if self.training:
            features = dropout(features, self.config.dropout, self.layers.draws)
        return self.calibrated(self.linear(features))

    def features(self, inputs: Tensor, lengths: Any = None) -> Tensor:
        """Return the features that the linear layer receives, before dropout.

        Parameters and errors are those of `forward`.

        Returns
        -------
        features : Tensor (batch, features_size); with readout step (batch, time, features_size)
        """
        if inputs.dim() != 3:
            raise ShapeError(
                f"inputs has shape {tuple(inputs.shape)}; expected (batch, time, "
                f"{self.config.input_size}). Add the missing axis."
            )
        checked = Lengths.of(lengths, *inputs.shape[:2])
        if self.encoder is not None:
            inputs = self.encoder(inputs, checked)
        if self.stem is not None:
            inputs, checked = self.stem(inputs, checked)
        return self._pooled(inputs, checked)

    @torch.no_grad()
    def start_stem(self, inputs: Tensor, lengths: Tensor) -> None:
        """Prepare the initial weights of the stem, if there is one, for training.

        See `ConvolutionalStem.start_with_differences`.

        Parameters
        ----------
        inputs : Tensor (batch, time, input_size)
            A batch of the training set; `lengths` (batch,) as in `forward`.
        """
        if self.stem is None:
            return
        checked = Lengths.of(lengths, *inputs.shape[:2])
        if self.encoder is not None:
            self.encoder.eval()  # without jitter
            inputs = self.encoder(inputs, checked)
            self.encoder.train()
        self.stem.start_with_differences(inputs, checked)

    def _pooled(self, inputs: Tensor, lengths: Lengths) -> Tensor:
        """Run the layers and the readout; all hooks are called."""
        if self.config.layer_lookahead is not None:  # readout step, whose features are the outputs
            return self._limited_outputs(inputs, lengths, self.config.layer_lookahead)
        initial = self._initial(inputs)
        watched = has_hooks(self.layers) or has_hooks(self.readout)
        if self.readout.reads_last_step_only and not watched:
            return self.layers.last_outputs(inputs, initial, lengths=lengths)
        is_lstm = isinstance(self.layers, LSTM)
        hx = initial if is_lstm or initial is None else initial[0]
        outputs, final = self.layers(inputs, hx, lengths=lengths)
        h_n = final[0] if is_lstm else final
        features: Tensor = self.readout(outputs, h_n[-self.layers.num_directions :], lengths)
        return features

    def _limited_outputs(self, inputs: Tensor, lengths: Lengths, lookahead: int) -> Tensor:
        def dropped(steps: Tensor) -> Tensor:
            p = self.layers.dropout if self.training else 0.0
            return dropout(steps, p, self.layers.draws)

        chunks, time = Chunks(lookahead), inputs.shape[1]
        outputs, _ = limited_outputs(
            self.layers, inputs, lengths.values, chunks, dropped, time=time
        )
        return outputs

    def _initial(self, inputs: Tensor) -> tuple[Tensor, ...] | None:
        if self.config.initial_state == "zeros" or not self.training:
            return None
        num_states = self.config.num_layers * self.layers.num_directions
        shape = (num_states, inputs.shape[0], self.config.hidden_size)
        return tuple(
            self.layers.draws.normal(*shape, batch_axis=1, dtype=inputs.dtype, device=inputs.device)
            for _ in self.layers.cell.states
        )
