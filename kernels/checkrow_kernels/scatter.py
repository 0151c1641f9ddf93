"""Scattering rows to partitions: count, then place, keeping order. Two passes, O(rows) time, 8 bytes a row.

Source: Polychroniou & Ross, SIGMOD 2014, section 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.jit import kernel
from checkrow_kernels.words import copy_bytes

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
def positions(ids: Array, cursor: Array, out: Array) -> None:
    """Writes where each row goes, in row order within its partition; `cursor` moves on (int64)."""
    for i in range(len(ids)):
        p = ids[i]
        at = cursor[p]
        out[i] = at
        cursor[p] = at + 1


@kernel
def place(values: Array, at: Array, out: Array) -> None:
    """Writes `out[at] = values`: one sequential read, as many write streams as partitions."""
    for i in range(len(at)):
        out[np.uint64(at[i])] = values[i]


@kernel
def place_above(values: Array, at: Array, base: int, out: Array) -> None:
    """As `place`, of int64 to a narrower unsigned type: what they are above `base`."""
    for i in range(len(at)):
        out[np.uint64(at[i])] = values[i] - base


@kernel
def widen_above(values: Array, base: int, out: Array) -> None:
    """Undoes `place_above` in order: writes int64."""
    for i in range(len(values)):
        out[i] = np.int64(values[i]) + base


@kernel
def place_pairs(words: Array, at: Array, out: Array) -> None:
    """As `place` for two-word values."""
    for i in range(len(at)):
        j = np.uint64(2 * at[i])
        out[j] = words[2 * i]
        out[j + np.uint64(1)] = words[2 * i + 1]


@kernel
def place_lengths(offsets: Array, at: Array, out: Array) -> None:
    """Writes each text's length where its row goes."""
    for i in range(len(at)):
        out[np.uint64(at[i])] = offsets[i + 1] - offsets[i]


@kernel
def place_bytes(offsets: Array, data: Array, at: Array, out_offsets: Array, out_data: Array) -> None:
    """Writes each text's bytes to the offset of the place its row goes to."""
    for i in range(len(at)):
        copy_bytes(data, offsets[i], out_data, out_offsets[at[i]], offsets[i + 1] - offsets[i])
