"""Numba decorators with the options of the compiled engine."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import numba
import numba.extending
from numba import types

from bothways.kernels.compiled.structs import dtype_of

Function = TypeVar("Function", bound=Callable[..., Any])

# Integers and addresses are int64 and nothing raises, so compiled code uses no Python objects.
_OPTIONS = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def compiled(function: Function) -> Function:
    """Compile a function once, for the types of its annotations.

    The types are int (int64, for integers and addresses), float (float32), None and the records.
    Without a signature, Numba would compile a function again for each constant argument.
    """
    named = inspect.get_annotations(function)
    result = compiled_type(named.pop("return"))
    signature = result(*(compiled_type(annotation) for annotation in named.values()))
    return numba.njit(signature, **_OPTIONS)(function)


@cache
def compiled_type(annotation: Any) -> Any:
    """Return the Numba type of an annotation."""
    plain = {int: types.int64, float: types.float32, None: types.void}
    return plain[annotation] if annotation in plain else numba.from_dtype(dtype_of(annotation))


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function callable from compiled code; `function` returns its type and IR emitter."""
    return numba.extending.intrinsic(function)
