"""How to read and split a dataset."""

from typing import Literal, Self

from pydantic import Field, model_validator

from bothways.config import Settings, Target


class DataOptions(Settings):
    """How to understand a file, and how to split what is in it.

    Parameters
    ----------
    sequence, time, label, group, split : str, optional
        Columns of a table: which sequence a row belongs to, when it was, the sequence's class, whom
        or what it comes from, and its part (train, validation or test). `sequence`, `time` and
        `label` are guessed from the usual names where not given.
    features : tuple of str, optional
        Columns that are the inputs; all other columns of numbers where not given.
    categorical : tuple of str
        Features whose values are names, not amounts.
    vocabularies : dict
        The only tokens that count, for a categorical feature; those of the training part where not
        given.
    test, validation : str, optional
        Files with those parts.
    test_fraction : float
        Part of the sequences to hold out for the test, before anything else is done with them.
    by_time : bool
        Hold out the latest sequences, not any.
    split_seed : int
        Which sequences are held out for the test; of the validation split, `seed` says it.
    drop_copies : bool
        Drop training sequences that are, value for value, in the validation or test part.
    window, stride : int, optional
        Cut long recordings into windows of so many steps, so many steps apart.
    target : sequence or step
        What has a label.
    ignore : str, optional
        A label of steps that count for nothing, as those without a label do.
    memory_mb : int
        Steps that take more memory, in MiB, are kept in a temporary file. It is in the folder
        `TMPDIR`, or in /var/tmp if that is not set.
    sort : bool
        Sort the rows of a table by sequence and time even if the table takes more than `memory_mb`;
        smaller tables are sorted if they need to be.
    decimal : str, optional
        The decimal separator of a CSV file, "." or ","; default: recognized.
    axes : ntc or nct
        The order of the axes of 3-D arrays: sequences, time steps, features; or, as in sktime and
        aeon, sequences, features (channels), time steps.
    offsets : tuple of float
        What is subtracted from each feature before it is rounded to float32; default: found.
    max_classes : int
        More classes than this raise an error: the label is probably a number, a name or a time.
    """

    sequence: str | None = None
    time: str | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None
    features: tuple[str, ...] | None = None
    categorical: tuple[str, ...] = ()
    vocabularies: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    test: str | None = None
    validation: str | None = None
    test_fraction: float = Field(default=0.0, ge=0, lt=1)
    by_time: bool = False
    split_seed: int = Field(default=0, ge=0, lt=2**31)
    drop_copies: bool = False
    window: int | None = Field(default=None, ge=1)
    stride: int | None = Field(default=None, ge=1)
    target: Target = "sequence"
    ignore: str | None = None
    memory_mb: int = Field(default=1024, ge=1)
    sort: bool = False
    decimal: Literal[".", ","] | None = None
    axes: Literal["ntc", "nct"] = "ntc"
    offsets: tuple[float, ...] | None = None
    max_classes: int = Field(default=5000, ge=2)

    def for_use(self) -> "DataOptions":
        """Return how a model reads new data: recordings whole, where it is steps that have labels.

        Each step has one answer then, and none of them stands at the edge of a window.
        """
        if self.target == "sequence":
            return self
        return self.model_copy(update={"window": None, "stride": None})

    def without_columns(self) -> "DataOptions":
        """Return what is left of them for a file that has no columns."""
        kept = {
            "target",
            "ignore",
            "window",
            "stride",
            "memory_mb",
            "axes",
            "offsets",
            "max_classes",
        }
        return DataOptions(**self.model_dump(include=kept))

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.ignore is not None and self.target != "step":
            raise ValueError(
                f"ignore is {self.ignore!r} but labels are of sequences; expected labels of steps. "
                "Give --target step too, or leave those sequences out."
            )
        if self.stride is not None and self.window is None:
            raise ValueError(
                f"stride is {self.stride} but there is no window; expected both. Give --window too."
            )
        return self
