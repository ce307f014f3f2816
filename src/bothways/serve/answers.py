"""Responses: predictions as in `predict`'s JSON lines, the model card, and their schemas."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic_core import to_json

from bothways.models.answers import Labeling, Prediction
from bothways.models.card import describe_architecture, describe_origin, describe_readout
from bothways.models.manifest import Manifest
from bothways.pages.looks import reads_digits
from bothways.serve.errors import RequestError
from bothways.serve.rows import Probabilities


def predictions(manifest: Manifest, found: Sequence[Probabilities]) -> bytes:
    """Return the answers to the sequences of a request as JSON.

    Parameters
    ----------
    manifest : Manifest
    found : list of float64 arrays
        Probabilities (num_classes,), or (time_i, num_classes) if steps have labels.
    """
    lines = [prediction(manifest, probabilities, n) for n, probabilities in enumerate(found)]
    return to_json({"predictions": lines})


def prediction(manifest: Manifest, probabilities: Probabilities, number: int = 0) -> dict[str, Any]:
    """Return the answer to one sequence, as in `predict`'s JSON lines.

    Raises
    ------
    RequestError
        422 if the probabilities are not finite, because the values are too large for the model.
    """
    if not np.isfinite(probabilities).all():
        raise RequestError(
            422,
            f"the probabilities of sequence {number} are not finite; expected numbers. Check the "
            "scale of the values.",
        )
    kind: type[Prediction] | type[Labeling] = Prediction
    if manifest.model.target == "step":
        kind = Labeling
    return kind.of(str(number), manifest.classes, probabilities).line()


def card(manifest: Manifest, *, has_examples: bool = False) -> dict[str, Any]:
    """Return what a model is, what it expects and where it comes from; no path of the server.

    Parameters
    ----------
    manifest : Manifest
    has_examples : bool
        Whether `/examples` returns any.
    """
    model, preprocessing = manifest.model, manifest.preprocessing
    return {
        "model": describe_architecture(manifest),
        "readout": describe_readout(manifest),
        "origin": describe_origin(manifest),
        "target": model.target,
        "classes": manifest.classes,
        "input_size": model.input_size,
        "features": preprocessing.features,
        "categories": preprocessing.reading.vocabularies,
        "longest": model.sequence_length,
        "accepts_missing": model.accepts_missing,
        "window": preprocessing.reading.window,
        "training_range": preprocessing.training_range,
        "reads_digits": reads_digits(manifest),
        "has_examples": has_examples,
        "settings": model.model_dump(mode="json"),
        "versions": manifest.provenance.versions,
    }


def predictions_schema(manifest: Manifest) -> dict[str, Any]:
    """Return the JSON schema of predictions."""
    label = {"type": "string", "enum": list(manifest.classes)}
    probability = {"type": "number", "minimum": 0, "maximum": 1}
    number = {"type": "integer", "minimum": 0}
    sequence = {"type": "string", "description": "Number of the sequence in the request."}
    if manifest.model.target == "step":
        segment = _object(
            {"start": number, "end": number, "label": label, "probability": probability}
        )
        answer = _object(
            {
                "sequence": sequence,
                "labels": {"type": "array", "items": label, "description": "Of the time steps."},
                "segments": {
                    "type": "array",
                    "items": segment,
                    "description": "Time steps with one label, from start to before end, and the "
                    "mean of its probability there.",
                },
            }
        )
    else:
        by_class = _object(dict.fromkeys(manifest.classes, probability))
        answer = _object({"sequence": sequence, "label": label, "probabilities": by_class})
    return _object({"predictions": {"type": "array", "items": answer}})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}
