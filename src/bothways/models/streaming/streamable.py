"""Which models can answer before the end of a sequence."""

from bothways.config import ModelConfig
from bothways.errors import ConfigError


def check_streamable(config: ModelConfig) -> None:
    """Raise ConfigError if the answer to some steps depends on all steps of the sequence.

    The message names the setting, and what to train instead.
    """
    if config.bidirectional and config.lookahead is None:
        advice = "Train with --set bidirectional=false"
        if config.target == "step":
            advice += ", or limit how far it looks ahead with --set lookahead=32"
        raise ConfigError(
            "bidirectional is true, so that the model reads sequences from their end, too; "
            f"expected a model that reads forward only. {advice}."
        )
    if config.normalizes_sequences:
        raise ConfigError(
            f"normalization is {config.normalization!r}, which needs the mean of a whole sequence; "
            "expected none, dataset or robust. Train with --set normalization=robust."
        )
    if "flatten" in config.readouts:
        raise ConfigError(
            f"readout is {config.readout!r}, and flatten keeps the outputs of all steps; expected "
            "readouts of bounded memory. Train with --set readout=final+mean+max."
        )
