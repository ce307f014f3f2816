"""How to read and split a dataset; each option states its role once, for all who need it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bothways.config import Settings, Target

SPLITS = "Splits"
"""Title of the options of splits in the help of a command."""


@dataclass(frozen=True)
class Option:
    """The role of a field of `DataOptions`.

    Parameters
    ----------
    help : str
        For the command line.
    metavar : str, optional
        What stands for the value there; default: by its type.
    flag : str, optional
        Name on the command line; default: the name of the field.
    default : str, optional
        What the default None means.
    is_column : bool
        Whether it names columns, which only tables have.
    json_key : str, optional
        The fixed key that has this role in JSON lines.
    is_split : bool
        Whether it says how the data are split, and not how they are read.
    is_kept : bool
        Whether a model reads new data with it.
    is_rare : bool
        Whether few need it, so that the help shows it last.
    """

    help: str
    metavar: str | None = None
    flag: str | None = None
    default: str | None = None
    is_column: bool = False
    json_key: str | None = None
    is_split: bool = False
    is_kept: bool = True
    is_rare: bool = False

    @property
    def group(self) -> str:
        """Title of the options among which the help of a command shows it."""
        if self.is_split:
            return SPLITS
        return "Data, rarely needed" if self.is_rare else "Data"


class DataOptions(Settings):
    """How to read and split a file or folder.

    Parameters
    ----------
    sequence, time, label, group, split : str, optional
        Columns of a table: the sequence that a row belongs to, its time, the class of the sequence,
        its group (sequences of one person, for example), and its part (train, validation or test).
        Default: `sequence`, `time` and `label` are found by usual names.
    features : tuple of str, optional
        Columns to use as inputs; default: all other numeric columns that do not count rows.
    categorical : tuple of str
        Features whose values are categories.
    vocabularies : dict
        The categories of each categorical feature; default: those of the training set.
    target : sequence or step
        What has a label.
    ignore : str, optional
        A label of time steps to ignore, like steps without a label.
    test, validation : str, optional
        Files with those parts.
    test_fraction : float
        Fraction of the sequences to hold out for the test, before anything else is done with them.
    by_time : bool
        Hold out the latest sequences instead of random ones.
    split_seed : int
        Seed of the test set; that of the validation set is `seed`.
    drop_copies : bool
        Drop training sequences that are also in the validation or test set.
    window, stride : int, optional
        Cut recordings into windows of `window` steps, one every `stride` steps.
    axes : ntc or nct
        The order of the axes of 3-D arrays: sequences, time steps, features; or, as in sktime and
        aeon, sequences, features (channels), time steps.
    sort : bool
        Sort the rows of a table by sequence and time even if that takes more than `memory_mb`, in
        a temporary file, or if no time orders them. Other tables are sorted if necessary.
    decimal : str, optional
        Decimal separator of a CSV file, "." or ","; default: recognized.
    memory_mb : int
        Steps that take more memory, in MiB, are kept in a temporary file in the folder `TMPDIR`, or
        in /var/tmp if that is not set.
    max_classes : int
        More classes than this raise an error: the label is probably a number, a name or a time.
    offsets : tuple of float, optional
        What is subtracted from each feature before it is rounded to float32; default: found.

    Raises
    ------
    ConfigError
        If options contradict each other.

    Examples
    --------
    >>> DataOptions(sequence="session", label="activity", group="subject", test_fraction=0.2).target
    'sequence'
    """

    sequence: Annotated[
        str | None,
        Option("Sequence that a row belongs to.", is_column=True, json_key="sequence"),
    ] = None
    time: Annotated[str | None, Option("Time of a row.", is_column=True, json_key="times")] = None
    features: Annotated[
        tuple[str, ...] | None,
        Option("Inputs (a,b,c).", default="all numeric columns", is_column=True),
    ] = None
    categorical: Annotated[
        tuple[str, ...], Option("Inputs that are categories, not numbers (a,b).", is_column=True)
    ] = ()
    label: Annotated[
        str | None, Option("Class of a sequence or a step.", is_column=True, json_key="label")
    ] = None
    group: Annotated[
        str | None,
        Option("Group, such as a person; no split divides it.", is_column=True, json_key="group"),
    ] = None
    split: Annotated[
        str | None,
        Option(
            "Part of a row: train, validation or test.",
            is_column=True,
            json_key="split",
            is_split=True,
        ),
    ] = None
    target: Annotated[Target, Option("What has a label.")] = "sequence"
    ignore: Annotated[
        str | None, Option("Treat steps with this label as unlabeled.", "LABEL", is_rare=True)
    ] = None
    test: Annotated[
        str | None, Option("Held out for the test.", "FRACTION|FILE", is_split=True)
    ] = None
    by_time: Annotated[
        bool, Option("Hold out the latest sequences, not random ones.", is_split=True)
    ] = False
    drop_copies: Annotated[
        bool, Option("Drop training sequences that are held out too.", is_split=True)
    ] = False
    window: Annotated[int | None, Option("Cut into windows of N steps."), Field(ge=1)] = None
    stride: Annotated[int | None, Option("Window stride.", default="--window"), Field(ge=1)] = None
    axes: Annotated[
        Literal["ntc", "nct"],
        Option("3-D arrays: t time, c features.", is_rare=True),
    ] = "ntc"
    sort: Annotated[
        bool, Option("Sort rows even if that needs a temporary file.", is_rare=True)
    ] = False
    decimal: Annotated[
        Literal[".", ","] | None,
        Option("Decimal separator of a CSV.", default="recognized", is_rare=True),
    ] = None
    memory_mb: Annotated[
        int,
        Option("Memory for the data.", "MB", flag="memory", is_kept=False, is_rare=True),
        Field(ge=1),
    ] = 1024
    max_classes: Annotated[
        int, Option("Most classes allowed.", is_kept=False, is_rare=True), Field(ge=2)
    ] = 5000
    validation: str | None = None
    test_fraction: float = Field(default=0.0, ge=0, lt=1)
    split_seed: int = Field(default=0, ge=0, lt=2**31)
    vocabularies: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    offsets: tuple[float, ...] | None = None

    @classmethod
    def roles(cls) -> Iterator[tuple[str, Option]]:
        """Yield the name and the role of each field that has one."""
        for name, field in cls.model_fields.items():
            for role in field.metadata:
                if isinstance(role, Option):
                    yield name, role

    def for_new_data(self) -> "DataOptions":
        """Return the options with which a model reads new data: nothing of splits or memory."""
        kept = {name for name, role in self.roles() if role.is_kept and not role.is_split}
        return DataOptions(**self.model_dump(include=kept | {"vocabularies", "offsets"}))

    def for_use(self) -> "DataOptions":
        """Return the options of prediction: without windows if each time step has a label.

        Each step then has one answer, and none is at the edge of a window.
        """
        if self.target == "sequence":
            return self
        return self.model_copy(update={"window": None, "stride": None})

    def without_columns(self) -> "DataOptions":
        """Return the options that remain for a file without columns."""
        kept = {name for name, role in self.roles() if not role.is_column and not role.is_split}
        return DataOptions(**self.model_dump(include=kept | {"offsets"}))

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.ignore is not None and self.target != "step":
            raise ValueError(
                f"ignore is {self.ignore!r} but sequences have the labels; expected labels of time "
                "steps. Add --target step, or remove those sequences."
            )
        if self.stride is not None and self.window is None:
            raise ValueError(
                f"stride is {self.stride} but there is no window; expected both. Add --window."
            )
        return self
