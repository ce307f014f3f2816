"""The text of an exported C file and its header."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from bothways.errors import ExportError
from bothways.export.c.names import c_comment, c_prefix, c_string
from bothways.export.c.program import Program
from bothways.export.c.weights import Constant, Weights, model_weights
from bothways.export.refusals import refuse_lookahead
from bothways.models.card import describe_architecture, describe_origin
from bothways.models.manifest import Manifest
from bothways.models.trained_model import TrainedModel
from bothways.nn.classifier import TorchClassifier
from bothways.nn.normalization import LINEAR_RANGE, LOG_RATIO_LIMIT
from bothways.optional import require

_MOST_LINES = 64
STACK_BYTES = 512
"""Most stack that the functions take on the usual processors, without copies of the state."""


@dataclass(frozen=True)
class CSource:
    """A C program that computes the logits of a model.

    Parameters
    ----------
    prefix : str
        Of its public names.
    source, header : str
        The content of the two files; ASCII.
    check : str
        A program that runs all functions, see `bothways.export.c.check`.
    program : Program
    constant_bytes : int
        Bytes of the weights and all other constants.
    classifier : TorchClassifier
        The classifier that it computes, on the CPU: with int8 weights, a copy with rounded weights.
    """

    prefix: str
    source: str
    header: str
    check: str
    program: Program
    constant_bytes: int
    classifier: TorchClassifier


def c_source(model: TrainedModel, stem: str, weights: Weights) -> CSource:
    """Return the C program of a model.

    Parameters
    ----------
    model : TrainedModel
    stem : str
        Name of the files without suffix.
    weights : float32 or int8

    Raises
    ------
    ExportError
        If the model is an ensemble, has a limited lookahead, or a weight is not finite.
    MissingDependencyError
        If jinja2 is not installed.
    """
    refuse_lookahead(model.manifest.model)
    members = model.manifest.model.members
    if members > 1:
        raise ExportError(
            f"members is {members} but a C file contains one network; expected 1. Export to .onnx, "
            "or train with members=1."
        )
    found = model_weights(model.classifier, weights)
    program = Program(model.manifest.model)
    literals = [c_string(name) for name in model.classes]
    name_bytes = max(len(name.encode()) for name in model.classes) + 1
    offsets = model.manifest.preprocessing.reading.offsets or ()
    constant_bytes = found.size_bytes + name_bytes * len(literals) + 8 * len(offsets)
    if program.categorical:
        constant_bytes += 4 * len(program.numeric)
    prefix = c_prefix(stem)
    values: dict[str, Any] = {
        **vars(program),
        "rows_of": program.rows_of,
        "features_field": program.features_field,
        "prefix": prefix,
        "upper": prefix.upper(),
        "source_name": c_comment(f"{stem}.c"),
        "header_name": f"{stem}.h",
        "title": c_comment(f"{stem}: {describe_architecture(model.manifest)}."),
        "origin": c_comment(f"Made with bothways: {describe_origin(model.manifest)}."),
        "version": version("bothways"),
        "weights": weights,
        "is_int8": weights == "int8",
        "constants": found.constants,
        "fingerprint": _fingerprint(found.constants, model.manifest),
        "class_literals": literals,
        "class_lines": _shortened([f"{n}  {c_comment(c)}" for n, c in enumerate(model.classes)]),
        "feature_lines": _shortened(list(_feature_lines(model.manifest, program))),
        "name_bytes": name_bytes,
        "offsets": [repr(offset) for offset in offsets],
        "flash_text": f"{constant_bytes:,} bytes of constants, and less than "
        f"{program.code_bytes:,} bytes of code with -Os.",
        "ram_lines": _ram_lines(program, prefix),
        "arguments": "&state, workspace" if program.workspace_floats else "&state",
        "linear_range": repr(LINEAR_RANGE),
        "log_ratio_limit": repr(LOG_RATIO_LIMIT),
        "reset": f"{prefix}_reset" if program.has_step else "begin",
    }
    source, header, check = (_render(name, values) for name in ("model.c", "model.h", "check.c"))
    return CSource(prefix, source, header, check, program, constant_bytes, found.classifier)


def _render(name: str, values: dict[str, Any]) -> str:
    """Return a template of `templates`, filled in; there, `p` is the program."""
    jinja2 = require("jinja2", extra="export", purpose="C files")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bothways.export.c"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return str(environment.get_template(f"{name}.jinja").render(p=values))


def _fingerprint(constants: Sequence[Constant], manifest: Manifest) -> str:
    digest = hashlib.sha256(manifest.to_bytes())
    for constant in constants:
        digest.update(constant.values.tobytes())
    return digest.hexdigest()[:8]


def _feature_lines(manifest: Manifest, program: Program) -> Iterator[str]:
    names = manifest.preprocessing.features
    vocabularies = manifest.preprocessing.reading.vocabularies
    for feature in range(program.input_size):
        name = f"  {c_comment(names[feature])}" if names else ""
        if feature not in program.categorical:
            kind = "number, NaN if missing" if program.accepts_missing else "number"
        else:
            known = vocabularies.get(names[feature], ()) if names else ()
            listed = [f"{n} {c_comment(value)}" for n, value in enumerate(known, 1)]
            kind = "category: 0 unknown" + "".join(f", {one}" for one in _shortened(listed))
        yield f"{feature}{name}  ({kind})"


def _shortened(lines: list[str]) -> list[str]:
    rest = len(lines) - _MOST_LINES
    return lines if rest <= 0 else [*lines[:_MOST_LINES], f"and {rest:,} more"]


def _ram_lines(program: Program, prefix: str) -> Iterator[str]:
    yield f"RAM: {program.state_bytes:,} bytes of {prefix}_state,"
    if program.workspace_floats:
        steps = "time step"
        if program.total_stride > 1:
            steps = f"{program.total_stride:,} time steps"
        yield f"  {4 * program.workspace_floats:,} bytes of workspace for each {steps},"
    yield f"  and less than {STACK_BYTES} bytes of stack."
    if program.stem and program.has_step:
        yield f"  When {prefix}_step() computes logits, it also copies the state to the stack."
