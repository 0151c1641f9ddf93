"""The same Numba options for everybody: the peers' own code is compiled as checkrow compiles its kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compiles a function for use without the interpreter's lock, with NumPy's rules for division by zero."""
    made: Function = numba.njit(nogil=True, error_model="numpy")(function)
    return made
