"""Integer division that raises on zero, for the kernels of users: by NumPy's error model machine code would return 0.

Floats keep NumPy's rules (inf and nan). Arrays are looked through before they are divided by. As plain Python the
functions do the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from checkrow_kernels.jit import inline_kernel


def floor_divide(a: Any, b: Any) -> Any:
    """Returns `a // b`; raises ZeroDivisionError for whole numbers and a zero in `b`."""
    if _are_whole(a, b):
        _refuse_zero(np.asarray(b))
    return a // b


def remainder(a: Any, b: Any) -> Any:
    """Returns `a % b`, with the sign of `b`; raises ZeroDivisionError for whole numbers and a zero in `b`."""
    if _are_whole(a, b):
        _refuse_zero(np.asarray(b))
    return a % b


def floor_and_remainder(a: Any, b: Any) -> Any:
    """Returns `divmod(a, b)`; raises ZeroDivisionError for whole numbers and a zero in `b`."""
    return floor_divide(a, b), remainder(a, b)


def _are_whole(*values: Any) -> bool:
    return all(np.asarray(v).dtype.kind in "iub" for v in values)


@inline_kernel
def _refuse_zero(b: Any) -> None:
    for value in b.flat:
        if value == 0:
            raise ZeroDivisionError("integer division by zero")


@inline_kernel
def _refuse_zero_scalar(b: Any) -> None:
    if b == 0:
        raise ZeroDivisionError("integer division by zero")


@inline_kernel
def _accept(b: Any) -> None:
    pass


def _check_of(a: Any, b: Any) -> Any:
    """Returns what refuses a zero among divisors of a Numba type."""
    kinds = [t.dtype if isinstance(t, types.Array) else t for t in (a, b)]
    if not all(isinstance(k, (types.Integer, types.Boolean)) for k in kinds):
        return _accept
    return _refuse_zero if isinstance(b, types.Array) else _refuse_zero_scalar


@overload(floor_divide)
def _compiled_floor_divide(a: Any, b: Any) -> Callable[[Any, Any], Any]:
    check = _check_of(a, b)

    def divide(a: Any, b: Any) -> Any:
        check(b)
        return a // b

    return divide


@overload(remainder)
def _compiled_remainder(a: Any, b: Any) -> Callable[[Any, Any], Any]:
    check = _check_of(a, b)

    def divide(a: Any, b: Any) -> Any:
        check(b)
        return a % b

    return divide


@overload(floor_and_remainder)
def _compiled_floor_and_remainder(a: Any, b: Any) -> Callable[[Any, Any], Any]:
    check = _check_of(a, b)

    def divide(a: Any, b: Any) -> Any:
        check(b)
        return a // b, a % b

    return divide
