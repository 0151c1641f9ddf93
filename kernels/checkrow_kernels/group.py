"""Group tables: open addressing with linear probing from key words to dense group numbers.

A slot holds a group number or -1; key words stand in arrays indexed by group. Slots are a power of two and at least
twice the capacity, so that a probe ends. Nothing grows in here: a full table stops the loop, and the caller grows it.
Expected O(1) per row.

The loops over arrays go block by block: first the group in the slot that each key hashes to, then the key of that
group, then the few rows that were not settled by that. The loads of one pass do not wait for each other, so a table
larger than the cache costs a fraction of a miss per row instead of two whole ones. Source: Chen et al., "Improving hash
join performance through prefetching", ICDE 2004 (group prefetching, here by plain loads).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.hashing import combine, mix64
from checkrow_kernels.jit import inline_kernel, kernel

Array = NDArray[Any]
_BLOCK = 256


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
    """Writes the group of each row, adding keys not seen before.

    Parameters
    ----------
    k0 : ndarray, shape (rows,), int64
    start, stop : int
        The rows to do.
    slots : ndarray, shape (a power of two, at least 2 * capacity), int32
        Group by slot, -1 where empty.
    t0 : ndarray, shape (capacity,), int64
        Key by group.
    count, capacity : int
        Groups so far, and how many may be.
    gids : ndarray, shape (rows,), int32
        Group by row; groups are numbered by first appearance.

    Returns
    -------
    tuple of int
        Next row and groups. The next row is short of `stop` when its key is new and the table full: the caller grows
        the table and calls again from there.
    """
    mask = np.uint64(len(slots) - 1)
    groups = np.empty(1, np.int64)
    groups[0] = count
    guess = np.empty(_BLOCK, np.int64)
    for first in range(start, stop, _BLOCK):
        rows = min(_BLOCK, stop - first)
        # A view of the block: indexes that may be negative would cost a test per row and the vector loop.
        p0 = k0[first : first + rows]
        out = gids[first : first + rows]
        for i in range(rows):
            guess[i] = mix64(np.uint64(p0[i])) & mask
        for i in range(rows):
            guess[i] = slots[np.uint64(guess[i])]
        missed = 0
        for i in range(rows):
            g = guess[i]
            out[i] = g
            guess[missed] = i
            missed += (g < 0) | (t0[np.uint64(max(g, 0))] != p0[i])
        for j in range(missed):
            i = guess[j]
            g = find_or_insert_1(p0[i], slots, t0, groups, capacity)
            if g < 0:
                return first + i, groups[0]
            out[i] = g
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
    mask = np.uint64(len(slots) - 1)
    groups = np.empty(1, np.int64)
    groups[0] = count
    guess = np.empty(_BLOCK, np.int64)
    for first in range(start, stop, _BLOCK):
        rows = min(_BLOCK, stop - first)
        p0 = k0[first : first + rows]
        p1 = k1[first : first + rows]
        out = gids[first : first + rows]
        for i in range(rows):
            guess[i] = combine(mix64(np.uint64(p0[i])), np.uint64(p1[i])) & mask
        for i in range(rows):
            guess[i] = slots[np.uint64(guess[i])]
        missed = 0
        for i in range(rows):
            g = guess[i]
            at = np.uint64(max(g, 0))
            out[i] = g
            guess[missed] = i
            missed += (g < 0) | (t0[at] != p0[i]) | (t1[at] != p1[i])
        for j in range(missed):
            i = guess[j]
            g = find_or_insert_2(p0[i], p1[i], slots, t0, t1, groups, capacity)
            if g < 0:
                return first + i, groups[0]
            out[i] = g
    return stop, groups[0]


@inline_kernel
def _hash_row(keys: Array, row: Any) -> Any:
    h = mix64(np.uint64(keys[row, 0]))
    for j in range(1, keys.shape[1]):
        h = combine(h, np.uint64(keys[row, j]))
    return h


@inline_kernel
def _same_row(keys: Array, row: Any, table: Array, g: Any) -> Any:
    same = True
    for j in range(keys.shape[1]):
        same &= table[g, j] == keys[row, j]
    return same


@inline_kernel
def _find_or_insert_n(keys: Array, row: Any, slots: Array, table: Array, groups: Array, capacity: Any) -> Any:
    mask = np.uint64(len(slots) - 1)
    slot = _hash_row(keys, row) & mask
    while True:
        g = np.int64(slots[slot])
        if g < 0:
            g = groups[0]
            if g >= capacity:
                return np.int64(-1)
            slots[slot] = g
            for j in range(keys.shape[1]):
                table[g, j] = keys[row, j]
            groups[0] += 1
            return g
        if _same_row(keys, row, table, g):
            return g
        slot = (slot + np.uint64(1)) & mask


@kernel
def upsert_n(
    keys: Array, start: int, stop: int, slots: Array, table: Array, count: int, capacity: int, gids: Array
) -> tuple[int, int]:
    """As `upsert_1` for keys of any number of words: `keys` has shape (rows, words), `table` (capacity, words)."""
    mask = np.uint64(len(slots) - 1)
    groups = np.empty(1, np.int64)
    groups[0] = count
    guess = np.empty(_BLOCK, np.int64)
    for first in range(start, stop, _BLOCK):
        rows = min(_BLOCK, stop - first)
        for i in range(rows):
            guess[i] = _hash_row(keys, first + i) & mask
        for i in range(rows):
            guess[i] = slots[np.uint64(guess[i])]
        missed = 0
        for i in range(rows):
            g = guess[i]
            gids[first + i] = g
            guess[missed] = i
            missed += (g < 0) | (not _same_row(keys, first + i, table, max(g, 0)))
        for j in range(missed):
            i = first + guess[j]
            g = _find_or_insert_n(keys, i, slots, table, groups, capacity)
            if g < 0:
                return i, groups[0]
            gids[i] = g
    return stop, groups[0]


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


@kernel
def choose_rows(gids: Array, words: Array, latest: bool, chosen: Array) -> None:
    """Writes per group the row whose words come first in unsigned order; of equal rows the first, or the latest.

    Parameters
    ----------
    gids : ndarray, shape (rows,), int32
    words : ndarray, shape (rows, words), uint64
        Most significant word first.
    latest : bool
    chosen : ndarray, shape (groups,), int64
        Given as -1, which stays for a group without rows.
    """
    for i in range(len(gids)):
        g = gids[i]
        best = chosen[g]
        if best >= 0:
            equal = True
            smaller = False
            for j in range(words.shape[1]):
                if words[i, j] != words[best, j]:
                    equal = False
                    smaller = words[i, j] < words[best, j]
                    break
            if not (smaller or (equal and latest)):
                continue
        chosen[g] = i
