"""Export a model as C99 source for programs and microcontrollers without Python."""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from bothways.errors import ExportError, describe_unknown
from bothways.export.c.check import UncheckedExportWarning, check_source, find_compiler
from bothways.export.c.program import Program
from bothways.export.c.source import CSource, c_source
from bothways.export.c.weights import Weights
from bothways.models.trained_model import TrainedModel
from bothways.nn.size import weight_bytes
from bothways.storage.atomic import replacing
from bothways.storage.output_file import check_output_file

MOST_BYTES = 1 << 25
"""Weights of the largest model: compiling its source takes 2 GB of memory and half a minute."""


@dataclass(frozen=True)
class CExport:
    """An exported C file.

    Parameters
    ----------
    source, header : Path
    prefix : str
        Of all public names in them.
    constant_bytes : int
        Bytes of all constants, most of them weights.
    program : Program
    difference : float, optional
        The greatest difference of a logit to the model; None if there was no compiler to check it.
    """

    source: Path
    header: Path
    prefix: str
    constant_bytes: int
    program: Program
    difference: float | None

    @property
    def flash_bytes(self) -> int:
        """Most bytes of read-only memory: the constants, and the code as compiled with -Os."""
        return self.constant_bytes + self.program.code_bytes

    def ram_bytes(self, time: int) -> int:
        """Return the bytes of memory, without the stack, for a sequence of `time` steps.

        Inputs and logits are not included.
        """
        return self.program.ram_bytes(time)

    @property
    def next_step(self) -> str:
        """How to use the file, in a few words."""
        return (
            f"to compile it, run: cc -std=c99 -O2 -c {self.source}\n"
            f"then call {self.prefix}_predict (see {self.header}) and link with -lm"
        )

    def facts(self) -> dict[str, str]:
        """Return what to print, by name."""
        ram = f"{self.ram_bytes(1):,} bytes"
        if self.program.workspace_floats:
            ram += f" for 1 time step, {self.ram_bytes(100):,} for 100"
        checked = "not compared with the model: there is no C compiler"
        if self.difference is not None:
            checked = f"logits differ from the model by at most {self.difference:.2g}"
        return {
            "written": f"{self.source}, {self.header}",
            "flash": f"{self.constant_bytes:,} bytes of constants, at most "
            f"{self.program.code_bytes:,} of code",
            "RAM": ram,
            "checked": checked,
        }


def export_c(
    model: TrainedModel,
    path: str | Path,
    *,
    weights: Weights = "float32",
    force: bool = False,
    seed: int = 0,
) -> CExport:
    """Write a model as a C file and a header of the same name.

    The program is compiled and compared with the model on random sequences first; the two files
    appear only if all logits agree. Without a C compiler, an UncheckedExportWarning is issued.

    Parameters
    ----------
    model : TrainedModel
    path : path
        A name that ends with .c; it determines the names of the functions.
    weights : float32 or int8
        int8: the weights are rounded to 8 bits, with a scale for each row.
    force : bool
        Whether existing files are replaced.
    seed : int
        Of the random sequences.

    Raises
    ------
    ConfigError
        If a file exists and `force` is not set, or cannot be written there.
    ExportError
        If the name is not that of a C file, the model is an ensemble or too large, or the check
        fails.
    MissingDependencyError
        If jinja2 is not installed.
    """
    path = Path(path)
    header = path.with_suffix(".h")
    _check_path(path, header, force=force)
    _check_weights(model, weights)
    source = c_source(model, path.stem, weights)
    difference = _checked_difference(source, model, path, seed)
    # The inner file is replaced first; if that fails, the outer one is not replaced either.
    with replacing(path) as c_file, replacing(header) as h_file:
        c_file.write(source.source.encode())
        h_file.write(source.header.encode())
    return CExport(path, header, source.prefix, source.constant_bytes, source.program, difference)


def _check_path(path: Path, header: Path, *, force: bool) -> None:
    if path.suffix != ".c" or not re.fullmatch(r"[\w.+ -]+", path.name, re.ASCII):
        raise ExportError(
            f"{path.name!r} is not the name of a C file; expected letters without accents, digits, "
            "and .c at the end. Choose a name such as gesture.c."
        )
    for file in (path, header):
        check_output_file(file, force=force)


def _check_weights(model: TrainedModel, weights: str) -> None:
    if weights not in ("float32", "int8"):
        raise ExportError(
            f"{describe_unknown('weights', weights, ('float32', 'int8'))} Choose one."
        )
    size_bytes = weight_bytes(model.manifest.model)
    if size_bytes > MOST_BYTES:
        raise ExportError(
            f"the weights take {size_bytes:,} bytes; expected at most {MOST_BYTES:,} in C source, "
            "which compilers read slowly. Export to .onnx."
        )


def _checked_difference(
    source: CSource, model: TrainedModel, path: Path, seed: int
) -> float | None:
    compiler = find_compiler()
    if compiler is None:
        warnings.warn(
            f"{path} was not compared with the model: there is no C compiler; expected cc, gcc or "
            "clang. Install one, or set CC.",
            UncheckedExportWarning,
            stacklevel=3,
        )
        return None
    return check_source(source, path.stem, model, seed, compiler).to_model
