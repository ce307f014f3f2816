"""The head of a model card: YAML that a model hub reads.

The fields are those of https://huggingface.co/docs/hub/model-cards. There is no `pipeline_tag`: the
hub has no task for the classification of sequences of numbers.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bothways.evaluation.metrics import Metrics
from bothways.models.card.markdown import yaml_text
from bothways.models.manifest import Manifest

HELD_OUT = ("test", "validation")
"""The splits that a model was not fitted to, the most independent one first."""

_TASKS = {"sequence": "Sequence classification", "step": "Sequence labeling"}


def card_head(title: str, manifest: Manifest, metrics: Mapping[str, Metrics]) -> list[str]:
    """Return the lines of the YAML head, with its delimiters.

    Parameters
    ----------
    title : str
        The name of the model.
    manifest : Manifest
    metrics : dict of Metrics
        By split. Those of held-out sets become the `model-index`.
    """
    model = manifest.model
    values: dict[str, Any] = {
        "library_name": "bothways",
        "license": "unknown",  # only the user can choose one
        "tags": [
            _task_type(manifest),
            "recurrent-neural-network",
            model.cell,
            *(["bidirectional"] if model.bidirectional else []),
            *(["ensemble"] if model.members > 1 else []),
        ],
    }
    results = [
        _result(manifest, split, metrics[split])
        for split in HELD_OUT
        if split in metrics and metrics[split].count
    ]
    if results:
        values["model-index"] = [{"name": title, "results": results}]
    return ["---", *_yaml(values), "---"]


def _task_type(manifest: Manifest) -> str:
    return _TASKS[manifest.model.target].lower().replace(" ", "-")


def _result(manifest: Manifest, split: str, found: Metrics) -> dict[str, Any]:
    """Return the metrics of one split, as an entry of `results` in the hub's `model-index`."""
    provenance = manifest.provenance
    name = "unknown" if provenance.data is None else provenance.data.name
    args: dict[str, Any] = {}
    if provenance.training is not None:
        args["seed"] = provenance.training.seed
    dataset = {
        "name": name,
        "type": re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.") or "unknown",
        "split": split,
        **({"args": args} if args else {}),
    }
    figures = [
        ("accuracy", "Accuracy", found.accuracy),
        ("balanced_accuracy", "Balanced accuracy", found.balanced_accuracy),
        ("f1", "Macro F1", found.macro_f1),
        ("log_loss", "Log loss", found.log_loss),
        ("expected_calibration_error", "Calibration error", found.expected_calibration_error),
    ]
    if found.segments is not None:
        figures.append(("segment_f1", "Segment F1 at 50 %", found.segments.segment_f1_50))
    if found.recordings is not None:
        figures.append(("accuracy", "Accuracy of recordings", found.recordings.accuracy))
    metrics = [
        {"type": kind, "name": label, "value": float(value)} for kind, label, value in figures
    ]
    task = {"type": _task_type(manifest), "name": _TASKS[manifest.model.target]}
    return {"task": task, "dataset": dataset, "metrics": metrics}


def _yaml(value: Any, indent: str = "") -> Iterator[str]:
    """Yield the lines of a mapping or a list in YAML's block style; texts are quoted."""
    if isinstance(value, dict):
        for key, content in value.items():
            if isinstance(content, dict | list):
                yield f"{indent}{key}:"
                yield from _yaml(content, f"{indent}  ")
            else:
                yield f"{indent}{key}: {_scalar(content)}"
        return
    for content in value:
        if isinstance(content, dict):
            first, *others = _yaml(content, f"{indent}  ")
            yield f"{indent}- {first.strip()}"
            yield from others
        else:
            yield f"{indent}- {_scalar(content)}"


def _scalar(value: str | int | float) -> str:
    if isinstance(value, str):
        return yaml_text(value)
    if isinstance(value, int):
        return str(value)
    # Without an exponent: YAML 1.1 reads 1e-05 as a text.
    return np.format_float_positional(value, trim="0")
