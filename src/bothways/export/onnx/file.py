"""ONNX files, compared with their model before they appear."""

from dataclasses import dataclass
from pathlib import Path

from bothways.errors import CheckpointError, ExportError
from bothways.export.comparison import TOLERANCE, Comparison, compare_on_random_batches
from bothways.export.onnx.graph import OPSET, describe_interface, onnx_model
from bothways.export.onnx.nodes import require_onnx
from bothways.models.onnx_model import OnnxClassifier
from bothways.models.trained_model import TrainedModel
from bothways.storage.atomic import write_atomically
from bothways.storage.output_file import check_output_file


@dataclass(frozen=True)
class OnnxExport:
    """An ONNX file that has been written.

    Parameters
    ----------
    path : Path
    opset : int
        Version of ONNX's operators.
    interface : dict
        Types and shapes of the inputs and outputs, by name.
    size_bytes : int
    comparison : Comparison
        With the model.
    """

    path: Path
    opset: int
    interface: dict[str, str]
    size_bytes: int
    comparison: Comparison

    @property
    def next_step(self) -> str:
        """How to use the file."""
        return f"to use it, run: bothways predict {self.path} FILE"

    def facts(self) -> dict[str, str]:
        """Return what to print, by name."""
        return {
            "written": f"{self.path}, {self.size_bytes:,} bytes",
            "opset": str(self.opset),
            **self.interface,
            "checked": f"logits differ from the model by at most {self.comparison.difference:.2g} "
            f"on {self.comparison.batches} random batches",
        }


def export_onnx(
    model: TrainedModel, path: Path, *, force: bool = False, seed: int = 0
) -> OnnxExport:
    """Write a model as an ONNX file, if it gives the answers of the model.

    Parameters
    ----------
    model : TrainedModel
    path : Path
    force : bool
        Replace an existing file.
    seed : int
        Of the random sequences of the comparison.

    Raises
    ------
    ExportError
        If the model does not fit in an ONNX file, or the file would give other answers than the
        model; nothing is written then.
    ConfigError
        If the file exists, or its folder does not.
    CheckpointError
        If `model` is an exported file itself.
    MissingDependencyError
        If onnx or onnxruntime is not installed.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> from bothways import load
    >>> file = export_onnx(load("runs/gestures"), Path("gestures.onnx"))
    >>> file.interface["inputs"]
    'float32 (batch, time, 3)'
    >>> load("gestures.onnx").classes
    ('circle', 'wave')
    """
    check_output_file(path, force=force)
    content, comparison = checked_content(model, seed)
    write_atomically(path, content)
    interface = describe_interface(model.manifest.model)
    return OnnxExport(path, OPSET, interface, len(content), comparison)


def checked_content(model: TrainedModel, seed: int) -> tuple[bytes, Comparison]:
    """Return the content of a model's ONNX file, and its comparison with the model.

    Raises
    ------
    ExportError, CheckpointError, MissingDependencyError
        As `export_onnx`.
    """
    exported = onnx_model(model.classifier, model.manifest)
    try:
        require_onnx().checker.check_model(exported, full_check=True)
    except Exception as error:  # onnx's classes of errors have no common base
        reason = " ".join(str(error).split())
        raise ExportError(f"the exported graph is not valid: {reason}. Report this.") from None
    content: bytes = exported.SerializeToString()
    try:
        classifier = OnnxClassifier(content, model.manifest.model)
        comparison = compare_on_random_batches(model, classifier, seed)
    except CheckpointError as error:
        raise ExportError(f"onnxruntime cannot run the exported model: {error}") from None
    if comparison.relative_difference > TOLERANCE:
        raise ExportError(
            f"the exported model differs from the model by {comparison.difference:.2g}, relatively "
            f"{comparison.relative_difference:.2g}; expected at most {TOLERANCE:g}. Nothing was "
            "written. Use the run itself, and please report this."
        )
    return content, comparison
