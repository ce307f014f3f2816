"""What no export format can contain."""

from bothways.config import ModelConfig
from bothways.errors import ExportError


def refuse_lookahead(config: ModelConfig) -> None:
    """Raise ExportError if a model has a limited lookahead."""
    if config.lookahead is not None:
        raise ExportError(
            f"lookahead is {config.lookahead}, which exported files do not support; expected none. "
            "Serve the model with bothways, or export model.with_lookahead(None)."
        )
