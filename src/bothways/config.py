"""All settings of a model and of its training: validated, frozen, each default stated once."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from bothways.errors import ConfigError, describe_unknown

READOUTS = ("last", "final", "flatten", "mean", "max", "attention", "step")
"""Names of the readouts; see `bothways.nn.pooling`."""

Target = Literal["sequence", "step"]
Normalization = Literal["none", "dataset", "robust", "sequence", "both"]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0)]


class Settings(BaseModel):
    """Base class of frozen settings whose errors are one line.

    Raises
    ------
    ConfigError
        If a name is unknown, a value is out of range, or values contradict each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_one_line(error, list(type(self).model_fields))) from None


class Architecture(Settings):
    """What a user chooses about a network; the data decide the rest, see `ModelConfig`.

    Parameters
    ----------
    cell : rnn, gru or lstm
    nonlinearity : tanh or relu
        relu only if `cell` is rnn.
    hidden_size : int
        Size of the hidden state of one direction.
    num_layers : int
    bidirectional : bool
    dropout : float
        Dropout probability, in training, of the outputs of all layers but the last, and of the
        features that enter the linear layer.
    readout : last, final, flatten, mean, max, attention or step
        See `bothways.nn.pooling`; step if, and only if, each time step has a label. The others can
        be combined: final+mean+max concatenates their features.
    initial_state : zeros or normal
        normal: drawn from N(0, 1) for each batch in training; zeros otherwise.
    normalization : none, dataset, robust, sequence or both
        How numeric features are normalized: not at all; by the mean and the standard deviation of
        the training part; by its median and interquartile range, with logarithmic tails; within
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
    stem_kernel, stem_stride, stem_layers : int
        Kernel size (odd), stride and number of the convolutions.
    calibrate : bool
        Divide the logits by a temperature that is fitted on the validation split after training.
    members : int
        Number of networks of this architecture that are trained side by side, from different
        initial weights; the probabilities of the model are the means of theirs.
    """

    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    hidden_size: int = Field(default=128, ge=1)
    num_layers: int = Field(default=1, ge=1, le=1000)
    bidirectional: bool = True
    dropout: Fraction = 0.0
    readout: str = "final"
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
    def accepts_missing(self) -> bool:
        """Whether inputs may contain NaN."""
        return self.missing != "refuse"

    @property
    def normalizes_sequences(self) -> bool:
        """Whether the features of a step depend on all steps of its sequence."""
        return self.normalization in ("sequence", "both")

    @model_validator(mode="before")
    @classmethod
    def _read_standardize(cls, values: Any) -> Any:
        """Accept `standardize` of models and runs that are older than `normalization`."""
        if not isinstance(values, dict) or not isinstance(values.get("standardize"), bool):
            return values
        others = {name: value for name, value in values.items() if name != "standardize"}
        return {**others, "normalization": "dataset" if values["standardize"] else "none"}

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
                f"stem_stride is {self.stem_stride} but each time step needs an output; expected "
                "1. Set stem_stride=1."
            )
        if self.stem_kernel % 2 == 0:
            raise ValueError(
                f"stem_kernel is {self.stem_kernel}; expected an odd number. Use "
                f"{self.stem_kernel + 1}."
            )
        if self.normalizes_sequences and self.readout == "step" and not self.bidirectional:
            raise ValueError(
                f"normalization is {self.normalization!r}, which reads a whole sequence, but "
                "readout is 'step' and bidirectional is false; expected labels that depend on "
                "earlier steps only. Set normalization=robust, or bidirectional=true."
            )
        return self


class ModelConfig(Architecture):
    """Complete configuration of a classifier: an architecture for particular data.

    Parameters
    ----------
    input_size : int
        Number of features of a time step.
    num_classes : int
    categories : tuple of int
        For each feature, the number of categories; 0 if numeric. Empty if all features are numeric.
        In the inputs, categories are numbers from 1, and 0 is the unknown category.
    sequence_length : int, optional
        Number of time steps that readout `flatten` sees; required there, and only there.
    **architecture
        See `Architecture`.
    """

    input_size: int = Field(ge=1)
    num_classes: int = Field(ge=2)
    categories: tuple[Annotated[int, Field(ge=0)], ...] = ()
    sequence_length: int | None = Field(default=None, ge=1)

    @classmethod
    def for_data(
        cls,
        architecture: Architecture,
        *,
        input_size: int,
        num_classes: int,
        longest: int,
        categories: tuple[int, ...] = (),
    ) -> "ModelConfig":
        """Return the configuration of an architecture for data of these sizes.

        Parameters
        ----------
        architecture : Architecture
        input_size, num_classes : int
        longest : int
            Time steps of the longest training sequence.
        categories : tuple of int
        """
        return cls(
            **architecture.model_dump(),
            input_size=input_size,
            num_classes=num_classes,
            categories=categories,
            sequence_length=longest if "flatten" in architecture.readouts else None,
        )

    @property
    def numeric_features(self) -> list[int]:
        """Indices of the features that are not categorical."""
        categories = self.categories or (0,) * self.input_size
        return [n for n, count in enumerate(categories) if not count]

    @property
    def encoded_numeric_size(self) -> int:
        """Number of features that preprocessing makes of the numeric ones."""
        views = {"sequence": 3, "both": 4}.get(self.normalization, 1)
        numeric = self.input_size - sum(count > 0 for count in self.categories)
        return numeric * (views + (self.missing == "mask"))

    @model_validator(mode="after")
    def _check_data(self) -> Self:
        if ("flatten" in self.readouts) != (self.sequence_length is not None):
            raise ValueError(
                f"sequence_length is {self.sequence_length} but readout is {self.readout!r}; "
                "expected a length with 'flatten' and none otherwise. Set both or neither."
            )
        if self.categories and len(self.categories) != self.input_size:
            raise ValueError(
                f"categories has {len(self.categories)} entries but input_size is "
                f"{self.input_size}; expected one entry for each feature."
            )
        return self


PICTURE_CHANGES = (
    "augment_rotation", "augment_zoom", "augment_shear", "augment_translation", "augment_elastic",
)  # fmt: skip
"""The settings of `Augmentation` that transform sequences as pictures."""


class Augmentation(Settings):
    """Random changes of training sequences, drawn anew for each sequence of each batch.

    All are 0, for none, by default. Lengths do not change; see
    `bothways.training.loop.augmentation`.

    Parameters
    ----------
    augment_time_shift : float
        Largest shift in time, as a fraction of the length. The first or last time step is repeated.
    augment_time_warp : float
        Standard deviation of the logarithm of the speed, which varies smoothly within a sequence.
    augment_scale : float
        Standard deviation of the logarithm of a factor, for each feature of a sequence, that
        multiplies the distances from the mean of the feature in the sequence.
    augment_time_mask : float
        Largest length of a masked span of time, as a fraction of the length. Masked values are
        replaced by the mean of the feature in the sequence, categories by the unknown category.
    augment_feature_mask : float
        Probability of masking a feature of a sequence; one feature always remains.
    augment_rotation : float
        For sequences that are pictures, whose rows are the time steps: largest angle, in degrees.
    augment_zoom, augment_shear : float
        Largest relative change of height and of width, and largest horizontal shear.
    augment_translation : float
        Largest shift of a picture, in time steps and in features.
    augment_elastic : float
        Standard deviation, in time steps and in features, of smooth random displacements.
    """

    augment_time_shift: Fraction = 0.0
    augment_time_warp: float = Field(default=0.0, ge=0)
    augment_scale: float = Field(default=0.0, ge=0)
    augment_time_mask: Fraction = 0.0
    augment_feature_mask: Fraction = 0.0
    augment_rotation: float = Field(default=0.0, ge=0, le=180)
    augment_zoom: Fraction = 0.0
    augment_shear: float = Field(default=0.0, ge=0)
    augment_translation: float = Field(default=0.0, ge=0)
    augment_elastic: float = Field(default=0.0, ge=0)

    @property
    def changes(self) -> dict[str, float]:
        """The settings that are not 0."""
        values = {name: getattr(self, name) for name in Augmentation.model_fields}
        return {name: value for name, value in values.items() if value}

    @property
    def augments_values(self) -> bool:
        """Whether values are scaled or masked."""
        return any((self.augment_scale, self.augment_time_mask, self.augment_feature_mask))

    @property
    def picture_changes(self) -> dict[str, float]:
        """The settings of `PICTURE_CHANGES` that are not 0."""
        return {name: value for name, value in self.changes.items() if name in PICTURE_CHANGES}


class TrainConfig(Augmentation):
    """How a model is trained.

    Parameters
    ----------
    epochs : int, optional
        Passes over the training part; default: 10, unless `steps` is set.
    steps : int, optional
        Instead of `epochs`: the number of optimizer steps, rounded to whole epochs, at least one.
        An epoch then consists of as many passes over the training part as about 100 steps need.
    batch_size : int
    crop_steps : int, optional
        If time steps have labels: each pass trains on random parts of the sequences, of at most
        this many time steps; default: on whole sequences. Evaluation reads whole sequences.
    optimizer : adam, adamw or sgd
    learning_rate : float
        Maximum of the schedule.
    momentum : float, optional
        For sgd only; default: 0.
    schedule : constant, cosine or one_cycle
        Over all steps, as CosineAnnealingLR and OneCycleLR of `torch.optim.lr_scheduler`.
    warmup_fraction : float, optional
        Fraction of the steps of one_cycle in which the learning rate rises; default: 0.3.
    weight_decay : float
    gradient_clip : float, optional
        Maximum norm of all gradients of a network together.
    label_smoothing : float
    class_weights : none, balanced or tuple of float
        Weights of the classes in the loss: equal, inversely proportional to their frequencies in
        training, or one weight for each class.
    sampling : shuffled or balanced
        balanced: an epoch draws all classes equally often, with replacement. If time steps have
        labels, sequences with rare classes are drawn more often.
    average_decay : float, optional
        Evaluate and keep an exponential moving average of the weights with this decay per step.
    validation_fraction : float
        Fraction of the training part that is held out to choose the epoch, stratified by class.
    patience : int, optional
        Stop after this many epochs without a better validation accuracy.
    seed : int
        Seed of the initial weights, the shuffling, dropout and the validation split.
    device : auto, cpu, cuda or mps
    precision : float32 or bfloat16
        bfloat16: autocast, on CUDA only.
    backend : str
        See `bothways.kernels`.
    log_every, checkpoint_every : int
        Steps between two lines of the history and between two checkpoints; each epoch also ends
        with a checkpoint.
    tensorboard : bool
        Write event files for TensorBoard beside the history of a run.
    **augmentation
        See `Augmentation`.
    """

    epochs: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=64, ge=1)
    crop_steps: int | None = Field(default=None, ge=1)
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
    tensorboard: bool = False

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        if self.epochs is not None and self.steps is not None:
            raise ValueError(
                f"epochs is {self.epochs} and steps is {self.steps}; expected one of them. Omit "
                "the other."
            )
        if self.epochs is None and self.steps is None:
            object.__setattr__(self, "epochs", 10)
        return self

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.patience is not None and not self.validation_fraction:
            raise ValueError(
                f"patience is {self.patience} but validation_fraction is 0; expected a validation "
                "split that decides, never the test part. Set validation_fraction=0.1, for example."
            )
        if self.momentum is not None and self.optimizer != "sgd":
            raise ValueError(
                f"momentum is {self.momentum} but optimizer is {self.optimizer!r}; expected "
                "'sgd'. Omit momentum."
            )
        if self.warmup_fraction is not None and self.schedule != "one_cycle":
            raise ValueError(
                f"warmup_fraction is {self.warmup_fraction} but schedule is {self.schedule!r}; "
                "expected 'one_cycle'. Omit warmup_fraction."
            )
        return self


def _one_line(error: ValidationError, names: list[str]) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return describe_unknown("setting", name, names)
    if first["type"] == "missing":
        return f"setting {name!r} is missing; expected a value. Add it."
    rule = first["msg"].removeprefix("Input should be ").partition(", unable to")[0]
    return f"{name} is {first['input']!r}; expected {rule}. Correct the value."
