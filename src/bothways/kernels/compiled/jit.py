"""Numba's decorators as this engine uses them."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numba.extending
from numba import types

Function = TypeVar("Function", bound=Callable[..., Any])

# Numbers and addresses are int64 and nothing is raised, so no Python object is ever touched.
_OPTIONS = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def compiled(function: Function) -> Function:
    """Compile a function that takes records, at its first call."""
    return numba.njit(**_OPTIONS)(function)  # type: ignore[no-any-return]


def compiled_for(num_integers: int) -> Callable[[Function], Function]:
    """Compile a function of so many int64: once, whatever the literals in a call."""
    return numba.njit(types.void(*[types.int64] * num_integers), **_OPTIONS)  # type: ignore[no-any-return]


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that compiled code can call of one that writes LLVM IR."""
    return numba.extending.intrinsic(function)  # type: ignore[no-any-return]
