"""The errors that bothways raises for its users, each one line that says what to do next."""


class BothwaysError(Exception):
    """Base of every error that bothways raises on purpose.

    The message is one line: what is wrong, the value found, what was expected, the next step.
    `exit_code` is what the command line exits with.
    """

    exit_code = 2


class ConfigError(BothwaysError, ValueError):
    """A setting is unknown, out of range, or contradicts another."""


class ShapeError(BothwaysError, ValueError):
    """A tensor, a length or a class count does not fit the model or its companions."""


class DataError(BothwaysError, ValueError):
    """A data file or array cannot be read, or is not what it claims to be."""


class CheckpointError(BothwaysError):
    """A model folder, run folder or checkpoint is damaged, foreign or incomplete."""


class BackendError(BothwaysError, RuntimeError):
    """A kernel backend or device was asked for that cannot run here."""


class MissingDependencyError(BothwaysError, ImportError):
    """An optional package is needed and not installed."""


class NonFiniteLossError(BothwaysError, ArithmeticError):
    """The training loss became NaN or infinite."""

    exit_code = 3


class TrainingInterrupted(BothwaysError):  # noqa: N818 - an event, not a fault
    """Training was asked to stop; its state is saved and can be resumed."""

    exit_code = 130
