"""The smallest and largest of some integers, at memory speed."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from checkrow_kernels.jit import kernel

Array = NDArray[Any]


@kernel
def minmax_int(values: Array, rows: int) -> tuple[int, int]:
    """Returns the smallest and largest of the first `rows` values; there must be one."""
    low = values[0]
    high = values[0]
    for i in range(rows):
        low = min(low, values[i])
        high = max(high, values[i])
    return low, high
