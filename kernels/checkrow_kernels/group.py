"""Group tables: open addressing with linear probing from key words to dense group numbers.

A slot holds a group number or -1; key words stand in arrays indexed by group. Slots are a power of two and at least
twice the capacity, so that a probe ends. Nothing grows in here: a full table stops the loop, and the caller grows it.
Expected O(1) per row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.hashing import combine, mix64
from checkrow_kernels.jit import inline_kernel, kernel

Array = NDArray[Any]


@inline_kernel
def find_or_insert_1(k0: Any, slots: Array, t0: Array, groups: Array, capacity: Any) -> Any:
    """Returns the group of a one-word key, adding it to the table; -1 when the table is full."""
    mask = np.uint64(len(slots) - 1)
    slot = mix64(np.uint64(k0)) & mask
    while True:
        g = slots[slot]
        if g < 0:
            if groups[0] >= capacity:
                return np.int64(-1)
            g = np.int32(groups[0])
            slots[slot] = g
            t0[g] = k0
            groups[0] += 1
            return np.int64(g)
        if t0[g] == k0:
            return np.int64(g)
        slot = (slot + np.uint64(1)) & mask


@inline_kernel
def find_or_insert_2(k0: Any, k1: Any, slots: Array, t0: Array, t1: Array, groups: Array, capacity: Any) -> Any:
    """Returns the group of a two-word key, adding it to the table; -1 when the table is full."""
    mask = np.uint64(len(slots) - 1)
    slot = combine(mix64(np.uint64(k0)), np.uint64(k1)) & mask
    while True:
        g = slots[slot]
        if g < 0:
            if groups[0] >= capacity:
                return np.int64(-1)
            g = np.int32(groups[0])
            slots[slot] = g
            t0[g] = k0
            t1[g] = k1
            groups[0] += 1
            return np.int64(g)
        if t0[g] == k0 and t1[g] == k1:
            return np.int64(g)
        slot = (slot + np.uint64(1)) & mask


@kernel
def upsert_1(
    k0: Array, start: int, stop: int, slots: Array, t0: Array, count: int, capacity: int, gids: Array
) -> tuple[int, int]:
    """Writes the group of each row; returns (next row, groups), the next row being short of `stop` when full."""
    groups = np.empty(1, np.int64)
    groups[0] = count
    for i in range(start, stop):
        g = find_or_insert_1(k0[i], slots, t0, groups, capacity)
        if g < 0:
            return i, groups[0]
        gids[i] = g
    return stop, groups[0]


@kernel
def upsert_2(
    k0: Array,
    k1: Array,
    start: int,
    stop: int,
    slots: Array,
    t0: Array,
    t1: Array,
    count: int,
    capacity: int,
    gids: Array,
) -> tuple[int, int]:
    """As `upsert_1` for two-word keys."""
    groups = np.empty(1, np.int64)
    groups[0] = count
    for i in range(start, stop):
        g = find_or_insert_2(k0[i], k1[i], slots, t0, t1, groups, capacity)
        if g < 0:
            return i, groups[0]
        gids[i] = g
    return stop, groups[0]


@inline_kernel
def _hash_row(keys: Array, row: Any) -> Any:
    h = mix64(np.uint64(keys[row, 0]))
    for j in range(1, keys.shape[1]):
        h = combine(h, np.uint64(keys[row, j]))
    return h


@kernel
def upsert_n(
    keys: Array, start: int, stop: int, slots: Array, table: Array, count: int, capacity: int, gids: Array
) -> tuple[int, int]:
    """As `upsert_1` for keys of any number of words: `keys` has shape (rows, words), `table` (capacity, words)."""
    mask = np.uint64(len(slots) - 1)
    words = keys.shape[1]
    for i in range(start, stop):
        slot = _hash_row(keys, i) & mask
        while True:
            g = slots[slot]
            if g < 0:
                if count >= capacity:
                    return i, count
                for j in range(words):
                    table[count, j] = keys[i, j]
                slots[slot] = count
                gids[i] = count
                count += 1
                break
            same = True
            for j in range(words):
                same = same and table[g, j] == keys[i, j]
            if same:
                gids[i] = g
                break
            slot = (slot + np.uint64(1)) & mask
    return stop, count


@kernel
def rebuild_1(t0: Array, count: int, slots: Array) -> None:
    """Fills empty slots from a table of one-word keys."""
    mask = np.uint64(len(slots) - 1)
    for g in range(count):
        slot = mix64(np.uint64(t0[g])) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = g


@kernel
def rebuild_2(t0: Array, t1: Array, count: int, slots: Array) -> None:
    """Fills empty slots from a table of two-word keys."""
    mask = np.uint64(len(slots) - 1)
    for g in range(count):
        slot = combine(mix64(np.uint64(t0[g])), np.uint64(t1[g])) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = g


@kernel
def rebuild_n(table: Array, count: int, slots: Array) -> None:
    """Fills empty slots from a table of keys of any number of words."""
    mask = np.uint64(len(slots) - 1)
    for g in range(count):
        slot = _hash_row(table, g) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = g
