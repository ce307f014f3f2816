"""The formats of exported files, chosen by the extension of the file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bothways.errors import ConfigError
from bothways.export.c.file import export_c
from bothways.export.held_out import open_held_out
from bothways.export.onnx.file import export_onnx
from bothways.export.onnx.quantization import export_quantized
from bothways.models.loading import load
from bothways.models.trained_model import TrainedModel
from bothways.storage.output_file import check_output_file


class Exported(Protocol):
    """The result of an export."""

    @property
    def next_step(self) -> str:
        """How to use the file, in a few words."""

    def facts(self) -> dict[str, str]:
        """Return what to print, by name."""


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and how.

    Parameters
    ----------
    model : str or Path
        A run or model folder, or an address of the hub: see `load`.
    to : Path
        The file to write.
    weights : float32 or int8
        How weights are stored.
    force : bool
        Replace an existing file.
    """

    model: str | Path
    to: Path
    weights: Literal["float32", "int8"] = "float32"
    force: bool = False


def export(request: ExportRequest) -> Exported:
    """Export a model to a file, whose extension says the format.

    Raises
    ------
    ConfigError
        If the extension is unknown, or the file cannot be written there.
    CheckpointError, DownloadError
        If the model cannot be loaded.
    ExportError
        If the model cannot be exported, or the file would give other answers.
    MissingDependencyError
        If a package that the format needs is not installed.
    """
    write = _FORMATS.get(request.to.suffix)
    if write is None:
        raise ConfigError(
            f"the extension of output file {request.to} is {request.to.suffix!r}; expected "
            f"{' or '.join(_FORMATS)}. Choose one."
        )
    check_output_file(request.to, force=request.force)
    return write(load(request.model), request)


def _onnx(model: TrainedModel, request: ExportRequest) -> Exported:
    if request.weights == "float32":
        return export_onnx(model, request.to, force=request.force)
    held_out = open_held_out(model, Path(request.model))
    return export_quantized(model, request.to, held_out, force=request.force)


def _c(model: TrainedModel, request: ExportRequest) -> Exported:
    return export_c(model, request.to, weights=request.weights, force=request.force)


_FORMATS: dict[str, Callable[[TrainedModel, ExportRequest], Exported]] = {".onnx": _onnx, ".c": _c}
