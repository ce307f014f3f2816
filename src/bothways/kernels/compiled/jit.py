"""Numba's decorators as this engine uses them."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import numba
import numba.extending
from numba import types

from bothways.kernels.compiled.structs import dtype_of

Function = TypeVar("Function", bound=Callable[..., Any])

# Numbers and addresses are int64 and nothing is raised, so no Python object is ever touched.
_OPTIONS = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def compiled(function: Function) -> Function:
    """Compile a function once, for the types that its annotations name.

    These are int (int64, numbers and addresses), float (float32), None and the records. Left to
    itself, Numba compiles anew for each constant in a call.
    """
    named = inspect.get_annotations(function)
    result = compiled_type(named.pop("return"))
    signature = result(*(compiled_type(annotation) for annotation in named.values()))
    return numba.njit(signature, **_OPTIONS)(function)


@cache
def compiled_type(annotation: Any) -> Any:
    """Return the type that compiled code has for an annotation."""
    plain = {int: types.int64, float: types.float32, None: types.void}
    return plain[annotation] if annotation in plain else numba.from_dtype(dtype_of(annotation))


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that compiled code can call of one that writes LLVM IR."""
    return numba.extending.intrinsic(function)
