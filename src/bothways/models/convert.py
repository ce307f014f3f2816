"""Convert checkpoints of the public notebooks: a recurrent layer and a linear layer."""

import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bothways.config import ModelConfig
from bothways.errors import CheckpointError, ConfigError, counted, suggest
from bothways.kernels.cells import GRU, LSTM, RNN_TANH
from bothways.models.manifest import ConvertedFrom, Manifest, Provenance, versions
from bothways.models.trained import trained_model
from bothways.models.trained_model import TrainedModel
from bothways.nn.classifier import SequenceClassifier
from bothways.storage.atomic import sha256

_CELL_BY_GATES = {len(LSTM.gates): "lstm", len(GRU.gates): "gru", len(RNN_TANH.gates): "rnn"}
ONE_STEP_READOUTS = ("last", "final", "mean", "max")


def convert(
    path: str | Path,
    *,
    readout: str | None = None,
    nonlinearity: str | None = None,
    classes: Sequence[str] | None = None,
) -> TrainedModel:
    """Convert a checkpoint that `torch.save(model.state_dict(), path)` wrote.

    The shapes of the weights determine the cell, the sizes, the directions and the layers; the
    width of the linear layer determines whether the readout is `flatten` and its sequence length.

    Parameters
    ----------
    path : path
        A file with a recurrent layer (`lstm.weight_ih_l0`, …) and a linear layer (`fc.weight`,
        `fc.bias`). Only weights are read; code in the file is not executed.
    readout : str, optional
        Required if the shapes do not determine it.
    nonlinearity : str, optional
        Required for an RNN.
    classes : sequence of str, optional
        Default: "0", "1", …

    Raises
    ------
    CheckpointError
        If the file is damaged or contains something else.
    ConfigError
        If a required argument is missing, or contradicts the shapes.
    """
    path = Path(path)
    weights = read_weights(path)
    for name in classes or ():
        if list(classes or ()).count(name) > 1:
            raise ConfigError(f"classes names {name!r} twice; expected each name once. Rename one.")
    recurrent, linear = _part_names(weights, path)
    config = _infer_config(weights, recurrent, linear, readout, nonlinearity, path)
    if classes is None:
        classes = [str(n) for n in range(config.num_classes)]
    if len(classes) != config.num_classes:
        raise ConfigError(
            f"classes names {counted(len(classes), 'class')} but {linear}.weight has "
            f"{config.num_classes} rows; expected one name for each. Correct classes."
        )
    classifier = SequenceClassifier(config)
    renamed = {
        name.replace(f"{recurrent}.", "layers.", 1).replace(f"{linear}.", "linear.", 1): tensor
        for name, tensor in weights.items()
    }
    try:
        classifier.load_state_dict(renamed)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path} does not fit a {config.cell} classifier: {' '.join(str(error).split())}"
        ) from None
    manifest = Manifest(
        model=config,
        classes=tuple(classes),
        provenance=Provenance(
            converted_from=ConvertedFrom(file=path.name, sha256=sha256(path.read_bytes())),
            versions=versions(),
        ),
    )
    return trained_model(classifier.eval(), manifest)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a checkpoint, without executing code in it.

    Raises
    ------
    CheckpointError
        If it is damaged or contains anything but named tensors.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()  # torch.load does not check the CRCs
            if damaged is not None:
                raise zipfile.BadZipFile(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror or error}; expected a checkpoint. Check the "
            "path."
        ) from None
    except Exception:  # torch.load raises many types, and its messages advise to execute code
        raise CheckpointError(
            f"{path} is damaged or contains more than weights; expected the file of "
            "torch.save(model.state_dict(), path). Save the state_dict."
        ) from None
    is_weights = (
        isinstance(content, Mapping)
        and content
        and all(
            isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
        )
    )
    if not is_weights:
        raise CheckpointError(
            f"{path} contains a {type(content).__name__}; expected named tensors, the file of "
            "torch.save(model.state_dict(), path). Save the state_dict."
        )
    return dict(content)


def _part_names(weights: Mapping[str, Tensor], path: Path) -> tuple[str, str]:
    """Return the names of the recurrent and the linear layer: usually `lstm` and `fc`."""
    first = ".weight_ih_l0"
    recurrent = {name.removesuffix(first) for name in weights if name.endswith(first)}
    rest = {name.rpartition(".")[0] for name in weights if name.rpartition(".")[0] not in recurrent}
    if len(recurrent) != 1 or len(rest) != 1:
        raise CheckpointError(
            f"{path} contains {', '.join(sorted(weights))}; expected one recurrent layer and one "
            "linear layer, such as lstm.weight_ih_l0, …, fc.weight, fc.bias."
        )
    linear = rest.pop()
    if weights.get(f"{linear}.weight", torch.empty(0)).dim() != 2:
        raise CheckpointError(
            f"{path} has no matrix {linear}.weight; expected a linear layer with weight and bias."
        )
    return recurrent.pop(), linear


def _infer_config(
    weights: Mapping[str, Tensor],
    recurrent: str,
    linear: str,
    readout: str | None,
    nonlinearity: str | None,
    path: Path,
) -> ModelConfig:
    hidden = weights.get(f"{recurrent}.weight_hh_l0")
    first = weights[f"{recurrent}.weight_ih_l0"]
    if first.dim() != 2:
        raise CheckpointError(
            f"{path}: {recurrent}.weight_ih_l0 has shape {tuple(first.shape)}; expected a matrix. "
            "Save the state_dict of a recurrent layer."
        )
    if hidden is None or hidden.dim() != 2 or not hidden.numel() or len(hidden) % hidden.shape[1]:
        found = "is missing" if hidden is None else f"has shape {tuple(hidden.shape)}"
        raise CheckpointError(
            f"{path}: {recurrent}.weight_hh_l0 {found}; expected (num_gates * hidden_size, "
            "hidden_size). Save the state_dict of a recurrent layer."
        )
    rows, hidden_size = hidden.shape
    cell = _CELL_BY_GATES.get(rows // hidden_size)
    if cell is None:
        raise CheckpointError(
            f"{path}: {recurrent}.weight_hh_l0 has shape {tuple(hidden.shape)}; expected 4, 3 or 1 "
            "gates (lstm, gru, rnn) for each hidden unit."
        )
    if cell == "rnn" and nonlinearity is None:
        raise ConfigError(
            f"{path} contains an RNN, and shapes do not determine its nonlinearity; expected "
            "--nonlinearity tanh or relu. Add it."
        )
    bidirectional = f"{recurrent}.weight_ih_l0_reverse" in weights
    num_layers = sum(
        name.startswith(f"{recurrent}.weight_ih_l") and not name.endswith("_reverse")
        for name in weights
    )
    num_classes, width = weights[f"{linear}.weight"].shape
    if num_classes < 2:
        raise CheckpointError(
            f"{path}: {linear}.weight has {counted(num_classes, 'row')}; expected 2 or more."
        )
    step_width = hidden_size * (2 if bidirectional else 1)
    readout, sequence_length = _infer_readout(width, step_width, readout, linear)
    return ModelConfig(
        cell=cell,
        nonlinearity=nonlinearity or "tanh",
        input_size=weights[f"{recurrent}.weight_ih_l0"].shape[1],
        hidden_size=hidden_size,
        num_layers=num_layers,
        bidirectional=bidirectional,
        readout=readout,
        sequence_length=sequence_length,
        num_classes=num_classes,
    )


def _infer_readout(
    width: int, step_width: int, readout: str | None, linear: str
) -> tuple[str, int | None]:
    """Return the readout and, for flatten, the sequence length."""
    steps, rest = divmod(width, step_width)
    if rest or not steps:
        raise CheckpointError(
            f"{linear}.weight has {width} columns, not a multiple of the recurrent layer's "
            f"{step_width} outputs; expected a linear layer that receives only these."
        )
    if steps > 1:
        if readout not in (None, "flatten"):
            raise ConfigError(
                f"readout is {readout!r} but {linear}.weight has {width} columns, {steps} steps of "
                f"{step_width}; expected 'flatten'. Omit --readout."
            )
        return "flatten", steps
    if readout is None:
        raise ConfigError(
            f"{linear}.weight has {width} columns, the outputs of one step, so shapes do not "
            f"determine the readout; expected --readout {', '.join(ONE_STEP_READOUTS)}. The "
            "notebooks with such a layer use last."
        )
    if readout not in ONE_STEP_READOUTS:
        raise ConfigError(
            f"readout is {readout!r} but {linear}.weight has {width} columns, the outputs of one "
            f"step; {suggest(readout, ONE_STEP_READOUTS, 'expected one of')} "
            f"{', '.join(ONE_STEP_READOUTS)}. Choose one."
        )
    return readout, None
