"""Packing values of group keys into the bits of words. O(rows)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.jit import ENABLED, inline_kernel, kernel

Array = NDArray[Any]
_MASK = (1 << 64) - 1


def _less_compiled(value: Any, base: Any) -> Any:
    return np.uint64(value) - base


def _less_plain(value: Any, base: Any) -> Any:
    # Python integers: NumPy scalars would warn where machine words wrap.
    return np.uint64(int(value) - int(base) & _MASK)


_less = inline_kernel(_less_compiled) if ENABLED else _less_plain


@kernel
def pack_values(values: Array, valid: Array, has_valid: bool, base: Any, shift: Any, out: Array) -> None:
    """Adds values, less `base`, to words (uint64) from bit `shift` on; a null adds nothing.

    `values` is int64, `base` and `shift` are uint64; differences wrap.
    """
    for i in range(len(values)):
        if has_valid and valid[i] == 0:
            continue
        out[i] |= _less(values[i], base) << shift


@kernel
def pack_nulls(valid: Array, shift: Any, out: Array) -> None:
    """Sets bit `shift` of the words (uint64) of nulls."""
    for i in range(len(valid)):
        if valid[i] == 0:
            out[i] |= np.uint64(1) << shift
