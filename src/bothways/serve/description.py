"""The OpenAPI description of the app: what FastAPI cannot derive from functions of requests."""

from typing import Any

from bothways.models.card import describe_architecture
from bothways.models.manifest import Manifest
from bothways.serve.answers import predictions_schema
from bothways.serve.errors import error_schema
from bothways.serve.page.playing import LONGEST
from bothways.serve.requests.forms import RequestForm
from bothways.serve.requests.read import CSV, IMAGE_TYPES, JSON, NPZ_TYPES, content_types

_ERRORS = {
    401: "The token is missing or wrong.",
    408: "The body did not arrive in time.",
    413: "The body, or the number of sequences or time steps, is too large.",
    415: "Unknown Content-Type, or a compressed body.",
    421: "The header Host names another server.",
    422: "The body cannot be read, or does not fit the model.",
    429: "The server is busy, or the answer took too long; see the header Retry-After.",
    500: "The server failed.",
}
_CSV = {
    "type": "string",
    "description": "One sequence: a line for each time step, and optionally a first line with the "
    "names of the features.",
}
_PICTURE = {
    "type": "string",
    "format": "binary",
    "description": "A picture of one digit, which is scaled and centered as by bothways predict.",
}
_NPZ = {
    "type": "string",
    "format": "binary",
    "description": "A .npz file as np.savez writes it: inputs (count, time, features), with "
    "lengths (count,) if rows are padded, or values (total_steps, features) with offsets "
    "(count + 1,).",
}


def describe_model(manifest: Manifest) -> str:
    """Return what the model does, in a sentence."""
    what = "classifies sequences" if manifest.model.target == "sequence" else "labels time steps"
    return (
        f"A {describe_architecture(manifest)} that {what} of {manifest.model.input_size} features "
        f"as one of {len(manifest.classes)} classes."
    )


def describe_predict(manifest: Manifest, form: RequestForm) -> dict[str, Any]:
    """Return the request body and the responses of `/predict`."""
    limits = form.limits
    return {
        "description": "Predict the class of each sequence, or the labels and segments of its time "
        f"steps. Limits: {limits.body_bytes:,} bytes, {limits.sequences:,} sequences and "
        f"{limits.steps:,} time steps in a request, {limits.seconds:g} s for the answer.",
        "requestBody": {"required": True, "content": _bodies(form, form.schema())},
        "responses": {
            "200": {
                "description": "One prediction for each sequence, in their order.",
                "content": {JSON: {"schema": predictions_schema(manifest)}},
            },
            **describe_errors(*_ERRORS),
        },
    }


def describe_playback(form: RequestForm) -> dict[str, Any]:
    """Return the request body and the responses of `/playback`."""
    return {
        "description": "Predict one sequence, and show what the model answers after each number of "
        f"first and of last steps. At most {LONGEST:,} time steps.",
        "requestBody": {"required": True, "content": _bodies(form, form.schema_of_one())},
        "responses": {
            "200": {
                "description": "The prediction, and the playback that the page shows.",
                "content": {JSON: {"schema": {"type": "object"}}},
            },
            **describe_errors(*_ERRORS),
        },
    }


def _bodies(form: RequestForm, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the forms of a body by content type."""
    schemas: dict[str, Any] = {
        JSON: {"schema": schema, "example": form.example()},
        CSV: {"schema": _CSV},
        **{kind: {"schema": _NPZ} for kind in NPZ_TYPES},
        **{kind: {"schema": _PICTURE} for kind in IMAGE_TYPES},
    }
    return {kind: schemas[kind] for kind in content_types(form)}


def describe_errors(*statuses: int) -> dict[str, Any]:
    """Return the descriptions of error responses."""
    content = {JSON: {"schema": error_schema()}}
    return {str(n): {"description": _ERRORS[n], "content": content} for n in statuses}
