"""Interning text: every distinct string once, known by a small code. Expected O(bytes)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.hashing import hash_bytes
from checkrow_kernels.jit import kernel
from checkrow_kernels.words import copy_bytes, same_bytes

Array = NDArray[Any]


@kernel
def intern(
    offsets: Array, data: Array, valid: Array, has_valid: bool, start: int, arena: Array, arena_offsets: Array,
    hashes: Array, slots: Array, count: int, capacity: int, arena_capacity: int, out_codes: Array,
) -> tuple[int, int]:  # fmt: skip
    """Writes the code of each text, adding new ones; null has code -1.

    Returns (next row, texts); the next row is short of the end when rows or bytes of the table are full.
    """
    mask = np.uint64(len(slots) - 1)
    for i in range(start, len(offsets) - 1):
        if has_valid and valid[i] == 0:
            out_codes[i] = -1
            continue
        first, length = offsets[i], offsets[i + 1] - offsets[i]
        h = hash_bytes(data, first, first + length)
        slot = h & mask
        while True:
            code = slots[slot]
            if code < 0:
                at = arena_offsets[count]
                if count >= capacity or at + length > arena_capacity:
                    return i, count
                copy_bytes(data, first, arena, at, length)
                arena_offsets[count + 1] = at + length
                hashes[count] = h
                slots[slot] = count
                out_codes[i] = count
                count += 1
                break
            at = arena_offsets[code]
            if (
                hashes[code] == h
                and arena_offsets[code + 1] - at == length
                and same_bytes(data, first, arena, at, length)
            ):
                out_codes[i] = code
                break
            slot = (slot + np.uint64(1)) & mask
    return len(offsets) - 1, count


@kernel
def rebuild_strings(hashes: Array, count: int, slots: Array) -> None:
    """Fills empty slots from the hashes of all texts."""
    mask = np.uint64(len(slots) - 1)
    for code in range(count):
        slot = hashes[code] & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = code


@kernel
def remap(codes: Array, mapping: Array, out: Array) -> None:
    """Writes `mapping[codes]`; negative codes become -1."""
    for i in range(len(codes)):
        out[i] = mapping[codes[i]] if codes[i] >= 0 else -1
