"""The settings of a training."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bothways.config.augmentation import Augmentation
from bothways.config.settings import Fraction

Weight = Annotated[float, Field(ge=0)]


class TrainConfig(Augmentation):
    """How a model is trained.

    Parameters
    ----------
    epochs : int, optional
        Passes over the training set; default: 10, unless `steps` is set. An epoch of the history
        is one pass or, if `steps` is set, often several.
    steps : int, optional
        Number of optimizer steps, rounded to whole epochs of the history, at least one. Such an
        epoch then consists of as many passes over the training set as about 100 steps need. With
        `epochs` and `steps`, the training has the larger of both lengths.
    batch_size : int or auto
        Sequences of an optimizer step. auto: a 64th of the sequences of the training set, or of
        their parts with `crop_steps`, from 16 to 128.
    crop_steps : int, optional
        If time steps have labels: each pass cuts the sequences at random into parts of at most this
        many time steps; default: it reads whole sequences. Evaluation reads whole sequences.
    optimizer : adam, adamw or sgd
        The optimizer of `torch.optim`.
    learning_rate : float
        Maximum of the schedule.
    momentum : float, optional
        Momentum of sgd, and of no other optimizer; default: 0.
    schedule : constant, cosine or one_cycle
        How the learning rate changes over all steps, as CosineAnnealingLR and OneCycleLR of
        `torch.optim.lr_scheduler`.
    warmup_fraction : float, optional
        Fraction of the steps of one_cycle in which the learning rate rises; default: 0.3.
    weight_decay : float
        Factor of the decay of all weights: decoupled from the gradients with adamw, an L2 penalty
        with adam and sgd.
    gradient_clip : float, optional
        Maximum norm of all gradients of a network together.
    label_smoothing : float
        Fraction of the target probability that is spread equally over all classes.
    class_weights : none, balanced or [1, 2.5]
        Weights of the classes in the loss: equal, inversely proportional to their frequencies in
        training, or as listed for each class.
    sampling : shuffled or balanced
        shuffled: an epoch draws each sequence equally often. balanced: an epoch draws all classes
        equally often, with replacement. If time steps have labels, sequences with rare classes are
        drawn more often.
    average_decay : float, optional
        Evaluate and keep an exponential moving average of the weights with this decay per step.
    validation_fraction : float
        Fraction of the training set that is held out to choose the epoch, stratified by class.
    patience : int, optional
        Early stopping: stop after this many epochs of the history without a better validation
        accuracy or, if it is equal, a lower loss. If `steps` is set, such an epoch is often several
        passes.
    seed : int
        Seed of the initial weights, the shuffling, dropout and the validation set.
    device : auto, cpu, cuda or mps
        Where the model is trained; auto: on CUDA, MPS or the CPU, the first that is available.
    precision : float32 or bfloat16
        Number format of the factors of matrix products in training. bfloat16: in the recurrent
        layers, on a CPU with AVX512_BF16; on CUDA, autocast of the whole network. Weights, sums and
        evaluation are float32.
    backend : auto, compiled, torch or reference
        What runs the recurrent layers; auto: the compiled engine if it can run, otherwise torch.
    log_every : int
        Steps between two lines of the history.
    checkpoint_every : int
        Steps between two checkpoints; each epoch also ends with one.
    tensorboard : bool
        Write event files for TensorBoard beside the history of a run.
    **augmentation
        See `Augmentation`.

    Examples
    --------
    >>> TrainConfig(learning_rate=0.003, schedule="one_cycle", steps=1000).batch_size
    64
    """

    epochs: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1)
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default=64, description="a whole number of at least 1, or 'auto'"
    )
    crop_steps: int | None = Field(default=None, ge=2)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = Field(default=0.001, gt=0)
    momentum: Fraction | None = None
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    warmup_fraction: float | None = Field(default=None, gt=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    gradient_clip: float | None = Field(default=None, gt=0)
    label_smoothing: Fraction = 0.0
    class_weights: Literal["none", "balanced"] | tuple[Weight, ...] = Field(
        default="none", description="'none', 'balanced', or a weight of at least 0 for each class"
    )
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
    def _set_length(self) -> Self:
        if self.epochs is None and self.steps is None:
            object.__setattr__(self, "epochs", 10)
        return self

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.patience is not None and not self.validation_fraction:
            raise ValueError(
                f"patience is {self.patience} but validation_fraction is 0; expected a validation "
                "split that decides, never the test set. Set validation_fraction=0.1, for example."
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
