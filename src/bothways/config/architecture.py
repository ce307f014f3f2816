"""The settings of a network: what a user chooses, whatever the data are."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from bothways.config.settings import Fraction, Settings
from bothways.errors import counted, describe_unknown

READOUTS = ("last", "final", "flatten", "mean", "max", "attention", "step")
"""Names of the readouts; see `bothways.nn.pooling`."""

Target = Literal["sequence", "step"]
Normalization = Literal["none", "dataset", "robust", "sequence", "both"]
View = Literal["value", "robust", "own", "level", "log_scale"]

_VIEWS: dict[Normalization, tuple[View, ...]] = {
    "none": ("value",),
    "dataset": ("value",),
    "robust": ("robust",),
    "sequence": ("own", "level", "log_scale"),
    "both": ("robust", "own", "level", "log_scale"),
}


class Architecture(Settings):
    """What a user chooses about a network; the data decide the rest, see `ModelConfig`.

    Parameters
    ----------
    cell : rnn, gru or lstm
        The kind of the recurrent layers.
    nonlinearity : tanh or relu
        Activation function of the rnn; gru and lstm always use tanh.
    hidden_size : int
        Size of the hidden state of one direction.
    num_layers : int
        Number of recurrent layers; each reads the outputs of the one before.
    bidirectional : bool
        Whether a second set of layers reads the sequences backward.
    dropout : float
        Dropout probability, in training, of the outputs of all layers but the last, and of the
        features that enter the linear layer.
    readout : last, final, flatten, mean, max, attention, step, or several such as final+mean+max
        The features that enter the linear layer. final: the last state of each direction. last:
        the outputs at the last time step, where the backward direction of the top layer has made
        one step. mean, max: the mean or the maximum of the outputs over all time steps. attention:
        a mean with learned weights. flatten: the outputs of all time steps, concatenated. step: the
        outputs at each time step, if and only if each has a label. All but step can be combined:
        final+mean+max concatenates their features.
    lookahead : int, optional
        For labels of time steps and bidirectional layers: the label of a step depends on no step
        that is more than this number of steps ahead; default: it depends on the whole sequence. See
        `bothways.nn.lookahead`.
    initial_state : zeros or normal
        The state before the first step. normal: drawn from N(0, 1) for each batch in training;
        zeros otherwise.
    normalization : none, dataset, robust, sequence or both
        How numeric features are normalized: not at all; by the mean and the standard deviation of
        the training set; by its median and interquartile range, with logarithmic tails; within
        each sequence, with the level and the scale of the sequence as additional features; or as
        robust and sequence together. See `bothways.nn.normalization`.
    input_jitter : float
        In training, each numeric feature of a sequence is multiplied by 1 + j and shifted by
        another j, both drawn from N(0, input_jitter) for each batch, after normalization. Levels
        and log scales of sequences are only shifted.
    missing : refuse, mean, zero or mask
        How missing values (NaN) are imputed: not at all, which raises an error; by the mean of the
        feature in training; by 0, before normalization; or by the mean, with an additional
        feature that is 1 where a value is missing. With normalization robust, the median stands
        for the mean; with sequence and both, the mean of the feature in the same sequence.
    embedding_size : int
        Size of the embedding vectors of categories; a feature with fewer categories has vectors of
        that smaller size.
    token_dropout : float
        Probability of replacing a category by the unknown category in training, so that the network
        learns how to treat new ones.
    stem_channels : int, optional
        Channels of the convolutions before the recurrent layers, for sequences of thousands of
        steps; default: no convolutions.
    stem_kernel : int
        Kernel size of the convolutions, in time steps; an odd number.
    stem_stride : int
        Stride of the convolutions: each divides the number of time steps by it.
    stem_layers : int
        Number of the convolutions.
    calibrate : bool
        Divide the logits by a temperature that is fitted on the validation set after training.
    members : int
        Number of networks of this architecture that are trained side by side, from different
        initial weights; the probabilities of the model are the means of theirs.

    Examples
    --------
    >>> Architecture(cell="gru", hidden_size=64, readout="final+mean+max").bidirectional
    True
    >>> Architecture(num_layers=0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    bothways.errors.ConfigError: num_layers is 0; expected greater than or equal to 1. ...
    """

    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    hidden_size: int = Field(default=128, ge=1)
    num_layers: int = Field(default=1, ge=1, le=1000)
    bidirectional: bool = True
    dropout: Fraction = 0.0
    readout: str = "final"
    lookahead: int | None = Field(default=None, ge=0)
    initial_state: Literal["zeros", "normal"] = "zeros"
    normalization: Normalization = "none"
    input_jitter: float = Field(default=0.0, ge=0)
    missing: Literal["refuse", "mean", "zero", "mask"] = "refuse"
    embedding_size: int = Field(default=8, ge=1)
    token_dropout: Fraction = 0.02
    stem_channels: int | None = Field(default=None, ge=1)
    stem_kernel: int = Field(default=5, ge=1)
    stem_stride: int = Field(default=2, ge=1)
    stem_layers: int = Field(default=2, ge=1, le=100)
    calibrate: bool = False
    members: int = Field(default=1, ge=1, le=100)

    @property
    def target(self) -> Target:
        """What has a label: each sequence or each time step."""
        return "step" if self.readout == "step" else "sequence"

    @property
    def readouts(self) -> tuple[str, ...]:
        """The readouts whose features are concatenated."""
        return tuple(self.readout.split("+"))

    @property
    def stem_lookahead(self) -> int:
        """Steps behind a step that the convolutions read."""
        return 0 if self.stem_channels is None else self.stem_layers * (self.stem_kernel // 2)

    @property
    def layer_lookahead(self) -> int | None:
        """Steps behind a step that the recurrent layers may read; None: all."""
        return None if self.lookahead is None else self.lookahead - self.stem_lookahead

    @property
    def accepts_missing(self) -> bool:
        """Whether inputs may contain NaN."""
        return self.missing != "refuse"

    @property
    def views(self) -> tuple[View, ...]:
        """Names of the views that the network sees of each numeric feature, in their order.

        value: the value, standardized if `normalization` is dataset. For the others, see
        `bothways.nn.normalization`.
        """
        return _VIEWS[self.normalization]

    @property
    def normalizes_sequences(self) -> bool:
        """Whether the features of a step depend on all steps of its sequence."""
        return "own" in self.views

    @property
    def center_name(self) -> Literal["mean", "median"]:
        """The statistic of the training set that is the center of a numeric feature."""
        return "mean" if self.views == ("value",) else "median"

    @field_validator("readout")
    @classmethod
    def _check_readout(cls, readout: str) -> str:
        names = readout.split("+")
        for name in names:
            if name not in READOUTS:
                raise ValueError(describe_unknown("readout", name, READOUTS))
        if len(names) > len(set(names)):
            raise ValueError(
                f"readout is {readout!r}; expected each name once. Use "
                f"{'+'.join(dict.fromkeys(names))}."
            )
        if "step" in names and len(names) > 1:
            raise ValueError(
                f"readout is {readout!r}, but step returns features for each time step and cannot "
                "be combined; expected step alone, or others. Use final+mean, for example."
            )
        return readout

    @model_validator(mode="after")
    def _check_architecture(self) -> Self:
        if self.nonlinearity == "relu" and self.cell != "rnn":
            raise ValueError(
                f"nonlinearity is 'relu' but cell is {self.cell!r}; expected 'tanh', or cell "
                "'rnn'. Omit nonlinearity."
            )
        if self.stem_channels is not None and "flatten" in self.readouts:
            raise ValueError(
                f"stem_channels is {self.stem_channels} but readout is {self.readout!r}, which "
                "needs all time steps; expected another readout, or no stem. Use readout final or "
                "mean, or set stem_channels=null."
            )
        if self.stem_channels is not None and self.readout == "step" and self.stem_stride > 1:
            raise ValueError(
                f"readout is 'step', which needs an output for each time step, but stem_stride is "
                f"{self.stem_stride}; expected 1. Omit readout if each sequence has one label, or "
                "set stem_stride=1."
            )
        if self.stem_kernel % 2 == 0:
            raise ValueError(
                f"stem_kernel is {self.stem_kernel}; expected an odd number. Use "
                f"{self.stem_kernel + 1}."
            )
        if self.lookahead is not None:
            self._check_lookahead(self.lookahead)
        if self.normalizes_sequences and self.readout == "step" and not self.bidirectional:
            raise ValueError(
                f"normalization is {self.normalization!r}, which reads a whole sequence, but "
                "readout is 'step' and bidirectional is false; expected labels that depend on "
                "earlier steps only. Set normalization=robust, or bidirectional=true."
            )
        return self

    def _check_lookahead(self, lookahead: int) -> None:
        for name, value, expected in (
            ("readout", self.readout, "step"),
            ("bidirectional", self.bidirectional, True),
            ("initial_state", self.initial_state, "zeros"),
        ):
            if value != expected:
                raise ValueError(
                    f"lookahead is {lookahead} but {name} is {value!r}; expected {expected!r}. "
                    f"Omit lookahead, or set {name}={str(expected).lower()}."
                )
        if self.normalizes_sequences:
            raise ValueError(
                f"lookahead is {lookahead} but normalization is {self.normalization!r}, which "
                "reads a whole sequence; expected none, dataset or robust. Set "
                "normalization=robust."
            )
        if lookahead < self.stem_lookahead:
            raise ValueError(
                f"lookahead is {lookahead} but the convolutions of the stem read "
                f"{counted(self.stem_lookahead, 'step')} ahead; expected at least that. Set "
                "stem_channels=null or a larger lookahead."
            )
