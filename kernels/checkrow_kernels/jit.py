"""The one decorator of kernels: compiled without the GIL, cached on disk, NumPy's error model.

`CHECKROW_JIT=0` leaves functions as plain Python, with the same results.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])
ENABLED = os.environ.get("CHECKROW_JIT", "1") != "0"


def kernel(function: Function) -> Function:
    """Compiles a loop over arrays at its first call."""
    if not ENABLED:
        return function
    compiled: Function = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    return compiled


def inline_kernel(function: Function) -> Function:
    """Compiles a scalar function that drivers call per row; LLVM inlines it, so it is not cached on its own."""
    if not ENABLED:
        return function
    compiled: Function = numba.njit(nogil=True, error_model="numpy")(function)
    return compiled
