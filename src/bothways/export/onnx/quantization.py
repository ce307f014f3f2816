"""ONNX files with int8 weights, quantized by onnxruntime, and what that costs and gains."""

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.data.sequences import LabeledSequences
from bothways.errors import ExportError
from bothways.evaluation.evaluate import evaluate
from bothways.export.check_data import random_sequences
from bothways.export.comparison import compare_on_random_batches
from bothways.export.onnx.file import OnnxExport, checked_content
from bothways.export.onnx.graph import OPSET, describe_interface
from bothways.export.onnx.nodes import require_onnx
from bothways.models.onnx_model import OnnxClassifier
from bothways.models.trained_model import TrainedModel
from bothways.optional import require
from bothways.storage.atomic import write_atomically
from bothways.storage.output_file import check_output_file

_LARGEST_DIFFERENCE = 0.5
"""Greatest difference of logits, relative to the largest logit of the batch.

About 0.05 is usual. Above this limit, the answers have nothing to do with those of the model.
"""

_STEPS = 100
_REPEATS = 30


@dataclass(frozen=True)
class Performance:
    """Properties of a file that quantization changes.

    Parameters
    ----------
    size_bytes : int
    milliseconds : float
        Median time for one sequence.
    accuracy : float, optional
        On the held-out set, if there is one.
    """

    size_bytes: int
    milliseconds: float
    accuracy: float | None


@dataclass(frozen=True)
class QuantizedExport:
    """A quantized ONNX file that has been written.

    Parameters
    ----------
    file : OnnxExport
    before, after : Performance
        Of the file with float32 weights, which is not written, and of the quantized one.
    split : str, optional
        The part of the data that the accuracy was computed on.
    steps : int
        Time steps of the sequence whose time was measured.
    """

    file: OnnxExport
    before: Performance
    after: Performance
    split: str | None
    steps: int

    @property
    def next_step(self) -> str:
        """How to use the file."""
        return self.file.next_step

    def facts(self) -> dict[str, str]:
        """Return what to print, by name."""
        before, after = self.before, self.after
        accuracy = "not measured: the run has no test or validation set that can be read"
        if before.accuracy is not None and after.accuracy is not None:
            accuracy = f"{before.accuracy:.2%} before, {after.accuracy:.2%} after, on {self.split}"
        return {
            **self.file.facts(),
            "quantized": "int8 weights; an answer depends slightly on the other sequences of its "
            "batch",
            "size": f"{before.size_bytes:,} bytes before, {after.size_bytes:,} after",
            "accuracy": accuracy,
            "time": f"{before.milliseconds:.2g} ms before, {after.milliseconds:.2g} ms after, for "
            f"one sequence of {self.steps} steps",
        }


def export_quantized(
    model: TrainedModel,
    path: Path,
    held_out: tuple[str, LabeledSequences] | None = None,
    *,
    force: bool = False,
    seed: int = 0,
) -> QuantizedExport:
    """Write a model as an ONNX file with int8 weights.

    The file with float32 weights is compared with the model first, as `export_onnx` does. Inputs of
    the layers are quantized with one scale for a whole batch, so an answer depends slightly on its
    batch.

    Parameters
    ----------
    model : TrainedModel
        With LSTM layers.
    path : Path
    held_out : tuple of a name and LabeledSequences, optional
        A split on which the accuracy is computed.
    force : bool
        Replace an existing file.
    seed : int
        Of the random sequences of the comparison.

    Raises
    ------
    ExportError
        If the layers cannot be quantized, or the answers become arbitrary; and as `export_onnx`.
    ConfigError, CheckpointError, MissingDependencyError, OSError
        As `export_onnx`.

    Examples
    --------
    >>> from bothways import load
    >>> export = export_quantized(load("runs/gestures-lstm"), Path("gestures-int8.onnx"))
    >>> export.after.size_bytes < export.before.size_bytes
    True
    """
    check_output_file(path, force=force)
    config = model.manifest.model
    if config.cell != "lstm":
        raise ExportError(
            f"cell is {config.cell!r}, which onnxruntime cannot quantize; expected 'lstm'. Export "
            "without --quantize, or with int8 weights to a C file: --quantize --to model.c."
        )
    contents = {"before": checked_content(model, seed)[0]}
    contents["after"] = _quantized(contents["before"])
    classifiers = {when: OnnxClassifier(content, config) for when, content in contents.items()}
    comparison = compare_on_random_batches(model, classifiers["after"], seed)
    if comparison.relative_difference > _LARGEST_DIFFERENCE:
        raise ExportError(
            f"the logits of the quantized model differ by {comparison.difference:.2g}, relatively "
            f"{comparison.relative_difference:.2g}; expected at most {_LARGEST_DIFFERENCE:g}. "
            "Nothing was written. Export without --quantize."
        )
    steps = min(config.sequence_length or _STEPS, _STEPS)
    (values,) = random_sequences(model, [steps], np.random.default_rng(seed))
    milliseconds = _milliseconds(classifiers, torch.from_numpy(values[None]))
    split, sequences = (None, None) if held_out is None else held_out
    found = {
        when: Performance(
            len(contents[when]),
            milliseconds[when],
            None if sequences is None else evaluate(own, sequences, model.classes).accuracy,
        )
        for when, own in classifiers.items()
    }
    write_atomically(path, contents["after"])
    file = OnnxExport(path, OPSET, describe_interface(config), len(contents["after"]), comparison)
    return QuantizedExport(file, **found, split=split, steps=steps)


def _quantized(content: bytes) -> bytes:
    """Return an ONNX file with int8 weights in the LSTM layers and matrix products."""
    onnx = require_onnx()
    quantization = require("onnxruntime.quantization", extra="export", purpose="ONNX files")
    model = onnx.load_model_from_string(content)
    _set_preprocessed(model, True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "quantized.onnx")
        quantization.quantize_dynamic(
            model,
            path,
            op_types_to_quantize=["LSTM", "MatMul"],
            weight_type=quantization.QuantType.QInt8,
        )
        quantized = onnx.load(path)
    _set_preprocessed(quantized, False)
    result: bytes = quantized.SerializeToString()
    return result


def _set_preprocessed(model: Any, value: bool) -> None:
    """Tell onnxruntime that the graph needs no preprocessing; otherwise it logs a warning."""
    key = "onnx.quant.pre_process"
    others = {entry.key: entry.value for entry in model.metadata_props if entry.key != key}
    require_onnx().helper.set_model_props(
        model, {**others, key: "onnxruntime.quant"} if value else others
    )


def _milliseconds(classifiers: dict[str, OnnxClassifier], inputs: Tensor) -> dict[str, float]:
    """Return the median time that each classifier takes for one batch, measured in turns."""
    lengths = torch.full((len(inputs),), inputs.shape[1])
    times: dict[str, list[float]] = {name: [] for name in classifiers}
    for _ in range(_REPEATS):
        for name, classifier in classifiers.items():
            start = time.perf_counter()
            classifier(inputs, lengths)
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(own) for name, own in times.items()}
