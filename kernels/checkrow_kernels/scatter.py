"""Scattering rows to partitions: count, then place, keeping order. Two passes, O(rows) time, O(partitions) memory.

Source: Polychroniou & Ross, SIGMOD 2014, section 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.jit import kernel

Array = NDArray[Any]


@kernel
def partition_of(hashes: Array, bits: int, out: Array) -> None:
    """Writes the top `bits` bits of each hash as partition number (int32)."""
    if bits == 0:
        for i in range(len(hashes)):
            out[i] = 0
        return
    shift = np.uint64(64 - bits)
    for i in range(len(hashes)):
        out[i] = np.int32(hashes[i] >> shift)


@kernel
def count_partitions(ids: Array, counts: Array) -> None:
    """Adds the rows of each partition to `counts` (int64)."""
    for i in range(len(ids)):
        counts[ids[i]] += 1


@kernel
def scatter_order(ids: Array, starts: Array, out: Array) -> None:
    """Writes row numbers grouped by partition, in row order within each; `starts` ends as the next starts."""
    for i in range(len(ids)):
        p = ids[i]
        out[starts[p]] = i
        starts[p] += 1
