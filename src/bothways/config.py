"""Every setting of a model and of its training: validated, frozen, with one list of defaults."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bothways.errors import ConfigError

Readout = Literal["last", "final", "flatten", "mean", "max", "attention", "step"]
Target = Literal["sequence", "step"]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0)]


class Settings(BaseModel):
    """Frozen settings that know their names and say what is wrong with a value in one line.

    Raises
    ------
    ConfigError
        For a name that does not exist, a value out of range, or values that contradict.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_one_line(error, list(type(self).model_fields))) from None


class ModelConfig(Settings):
    """Architecture of a `SequenceClassifier`.

    Parameters
    ----------
    cell : rnn, gru or lstm
    nonlinearity : tanh or relu
        relu for cell rnn only.
    input_size : int
        Features of one step.
    hidden_size : int
        Per direction.
    num_layers : int
    bidirectional : bool
    dropout : float
        Probability of zeroing, in training, each output of all layers but the top one and each
        feature that the readout hands on.
    readout : last, final, flatten, mean, max, attention or step
        See `bothways.nn.pooling`; step where each step has a label, and only there.
    sequence_length : int, optional
        Steps that `flatten` sees; for it alone, and required there.
    initial_state : zeros or normal
        normal: drawn anew for each batch in training, N(0, 1); zeros in use.
    standardize : bool
        Subtract each feature's mean in training and divide by its standard deviation.
    input_jitter : float
        In training, each feature of a sequence is multiplied by 1 + j and shifted by another j,
        drawn from N(0, input_jitter) anew for each batch; standardised first where it is.
    missing : refuse, mean, zero or mask
        What NaN becomes: an error, the feature's mean in training, 0 (before standardising), or the
        mean beside a further feature that is 1 there.
    categories : tuple of int
        For each feature, how many tokens it may be, 0 where it is an amount; empty if all are.
        A token's number, from 1, stands in the inputs, 0 for one that is not known.
    embedding_size : int
        Of a token's vector; a feature of fewer tokens has as many numbers as it has tokens.
    token_dropout : float
        Probability of taking a token for an unknown one in training, so that the net learns what
        to do with those.
    stem_channels : int, optional
        Channels of convolutions before the recurrent layers, for thousands of steps; none where not
        given.
    stem_kernel, stem_stride, stem_layers : int
        Of the convolutions: steps that each sees (an odd number) and moves on by, and how many
        there are.
    calibrate : bool
        Divide the logits by a temperature that is fitted on the validation split after training.
    num_classes : int
    """

    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    input_size: int = Field(ge=1)
    hidden_size: int = Field(default=128, ge=1)
    num_layers: int = Field(default=1, ge=1, le=1000)
    bidirectional: bool = True
    dropout: Fraction = 0.0
    readout: Readout = "final"
    sequence_length: int | None = Field(default=None, ge=1)
    initial_state: Literal["zeros", "normal"] = "zeros"
    standardize: bool = False
    input_jitter: float = Field(default=0.0, ge=0)
    missing: Literal["refuse", "mean", "zero", "mask"] = "refuse"
    categories: tuple[Annotated[int, Field(ge=0)], ...] = ()
    embedding_size: int = Field(default=8, ge=1)
    token_dropout: Fraction = 0.02
    stem_channels: int | None = Field(default=None, ge=1)
    stem_kernel: int = Field(default=5, ge=1)
    stem_stride: int = Field(default=2, ge=1)
    stem_layers: int = Field(default=2, ge=1, le=100)
    calibrate: bool = False
    num_classes: int = Field(ge=2)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.nonlinearity == "relu" and self.cell != "rnn":
            raise ValueError(
                f"nonlinearity is 'relu' but cell is {self.cell!r}; expected 'tanh', or cell "
                "'rnn'. Leave nonlinearity out."
            )
        if (self.readout == "flatten") != (self.sequence_length is not None):
            raise ValueError(
                f"sequence_length is {self.sequence_length} but readout is {self.readout!r}; "
                "expected a length with 'flatten' and none without. Set both or neither."
            )
        if self.stem_channels is not None and self.readout == "flatten":
            raise ValueError(
                f"stem_channels is {self.stem_channels} but readout is 'flatten', which needs each "
                "step in its place; expected another readout, or no stem. Use readout final or "
                "mean, or set stem_channels=null."
            )
        if self.stem_channels is not None and self.readout == "step" and self.stem_stride > 1:
            raise ValueError(
                f"stem_stride is {self.stem_stride} but each step is to have a label; expected 1, "
                "which keeps them all. Set stem_stride=1."
            )
        if self.categories and len(self.categories) != self.input_size:
            raise ValueError(
                f"categories has {len(self.categories)} entries but input_size is "
                f"{self.input_size}; expected one for each feature."
            )
        if self.stem_kernel % 2 == 0:
            raise ValueError(
                f"stem_kernel is {self.stem_kernel}; expected an odd number, with a middle. Use "
                f"{self.stem_kernel + 1}."
            )
        return self

    @property
    def numeric_features(self) -> list[int]:
        """Indices of the features that are not categorical."""
        categories = self.categories or (0,) * self.input_size
        return [n for n, count in enumerate(categories) if not count]

    @property
    def target(self) -> Target:
        """What has a label: a sequence, or a step."""
        return "step" if self.readout == "step" else "sequence"


FROM_DATA = ("input_size", "categories", "sequence_length", "num_classes")
"""The settings of `ModelConfig` that the training data decide."""


class TrainConfig(Settings):
    """How a model is trained.

    Parameters
    ----------
    epochs, batch_size : int
    optimizer : adam, adamw or sgd
    learning_rate : float
        The highest that the schedule reaches.
    momentum : float, optional
        For sgd alone; 0 where not given.
    schedule : constant, cosine or one_cycle
        Over all steps: as `torch.optim.lr_scheduler`'s CosineAnnealingLR and OneCycleLR.
    warmup_fraction : float, optional
        Part of one_cycle's steps in which the rate rises; 0.3 where not given.
    weight_decay : float
    gradient_clip : float, optional
        Largest total norm of the gradients.
    label_smoothing : float
    class_weights : none, balanced or tuple of float
        What an error counts: the same; inversely to how often its class occurs in training; or a
        weight for each class, in their order.
    sampling : shuffled or balanced
        balanced: an epoch draws each class equally often, with replacement; where steps have
        labels, a sequence the more often the rarer its classes are.
    average_decay : float, optional
        Keep an exponential moving average of the weights with this decay a step, and use that.
    validation_fraction : float
        Part of the training set held out, stratified by class, to choose the epoch.
    patience : int, optional
        Stop after so many epochs without a better validation accuracy.
    seed : int
        Of the initial weights, the shuffling, dropout and the validation split.
    device : auto, cpu, cuda or mps
    precision : float32 or bfloat16
        bfloat16: autocast, on CUDA.
    backend : str
        See `bothways.kernels`.
    log_every, checkpoint_every : int
        Steps between two lines of the history; between two checkpoints (each epoch ends in one).
    """

    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=64, ge=1)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = Field(default=0.001, gt=0)
    momentum: Fraction | None = None
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    warmup_fraction: float | None = Field(default=None, gt=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    gradient_clip: float | None = Field(default=None, gt=0)
    label_smoothing: Fraction = 0.0
    class_weights: Literal["none", "balanced"] | tuple[Weight, ...] = "none"
    sampling: Literal["shuffled", "balanced"] = "shuffled"
    average_decay: float | None = Field(default=None, gt=0, lt=1)
    validation_fraction: Fraction = 0.0
    patience: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**31)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    backend: str = "auto"
    log_every: int = Field(default=100, ge=1)
    checkpoint_every: int = Field(default=1000, ge=1)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.patience is not None and not self.validation_fraction:
            raise ValueError(
                f"patience is {self.patience} but validation_fraction is 0; expected a validation "
                "split to judge by, never the test set. Set validation_fraction, 0.1 for example."
            )
        if self.momentum is not None and self.optimizer != "sgd":
            raise ValueError(
                f"momentum is {self.momentum} but optimizer is {self.optimizer!r}; expected "
                "'sgd'. Leave momentum out."
            )
        if self.warmup_fraction is not None and self.schedule != "one_cycle":
            raise ValueError(
                f"warmup_fraction is {self.warmup_fraction} but schedule is {self.schedule!r}; "
                "expected 'one_cycle'. Leave warmup_fraction out."
            )
        return self


def _one_line(error: ValidationError, names: list[str]) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"setting {name!r} is unknown; expected one of {', '.join(names)}. Check its name."
    if first["type"] == "missing":
        return f"setting {name!r} is missing; expected a value. Add it."
    rule = first["msg"].removeprefix("Input should be ")
    return f"{name} is {first['input']!r}; expected {rule}. Correct the value."
