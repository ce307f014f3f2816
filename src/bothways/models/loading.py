"""Loading of trained models, wherever they are."""

from pathlib import Path

from bothways.models.checkpoint import load_classifier
from bothways.models.hub import is_address, load_from_hub
from bothways.models.onnx_model import SUFFIX, load_onnx
from bothways.models.trained import trained_model
from bothways.models.trained_model import TrainedModel


def load(path: str | Path) -> TrainedModel:
    """Return the model in a run folder, a model folder, an `.onnx` file, or on the model hub.

    Parameters
    ----------
    path : path or str
        The folder or file; or "hf://owner/name" or "hf://owner/name@revision", a repository of
        huggingface.co, from which `config.json` and `model.safetensors` are downloaded.

    Returns
    -------
    TrainedModel
        On the CPU; see `TrainedModel.to`.

    Raises
    ------
    CheckpointError
        If a file is missing, damaged, of a newer schema, or files do not belong together.
    ConfigError
        If an address of the hub is not well-formed.
    DownloadError
        If a model cannot be downloaded.
    MissingDependencyError
        If the path is an `.onnx` file, and onnx or onnxruntime is not installed; or an address, and
        huggingface-hub is not installed.

    Examples
    --------
    >>> load("runs/gestures")
    TrainedClassifier(bidirectional GRU 2x8, readout mean+max; 3 features; classes circle, wave)
    """
    if is_address(path):
        model = trained_model(*load_from_hub(str(path)))
    elif (file := Path(path)).suffix == SUFFIX and not file.is_dir():
        model = trained_model(*load_onnx(file))
    else:
        model = trained_model(*load_classifier(file))
    model.keep_private()
    return model
