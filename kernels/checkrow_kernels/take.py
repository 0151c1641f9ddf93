"""Gathering rows of every column form. O(rows taken)."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from checkrow_kernels.jit import kernel
from checkrow_kernels.words import copy_bytes

Array = NDArray[Any]


@kernel
def take(values: Array, rows: Array, out: Array) -> None:
    """Writes `values[rows]`."""
    for i in range(len(rows)):
        out[i] = values[rows[i]]


@kernel
def take_pairs(words: Array, rows: Array, out: Array) -> None:
    """Writes the two-word values at some rows."""
    for i in range(len(rows)):
        out[2 * i] = words[2 * rows[i]]
        out[2 * i + 1] = words[2 * rows[i] + 1]


@kernel
def take_lengths(offsets: Array, rows: Array, out_offsets: Array) -> int:
    """Writes the offsets of the texts at some rows and returns their total bytes."""
    total = 0
    out_offsets[0] = 0
    for i in range(len(rows)):
        total += offsets[rows[i] + 1] - offsets[rows[i]]
        out_offsets[i + 1] = total
    return total


@kernel
def take_bytes(offsets: Array, data: Array, rows: Array, out_offsets: Array, out_data: Array) -> None:
    """Writes the bytes of the texts at some rows, to the offsets `take_lengths` gave."""
    for i in range(len(rows)):
        target = out_offsets[i]
        copy_bytes(data, offsets[rows[i]], out_data, target, out_offsets[i + 1] - target)
