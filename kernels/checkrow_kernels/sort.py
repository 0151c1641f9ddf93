"""Ordering rows within groups: stable, by 64-bit words whose unsigned order is the order wanted.

Where most rows are in order already, groups are sorted one by one: those of a few rows by insertion, larger ones by a
radix sort of (word, row) pairs that looks only at the bytes in which words of the group differ. Else all rows are
sorted at once, whatever their group, as one word each of key and row number, and then dealt to their groups. Sources:
Knuth, The Art of Computer Programming 3, 5.2.1 and 5.2.5; least-significant-digit radix sort with skipped passes as in
DuckDB's row sort. O(rows * differing bytes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.jit import inline_kernel, kernel

Array = NDArray[Any]
_INSERTION = 32
MOST_DIGIT_BITS = 12
"""Bits a pass over packed keys sorts by at most: its counts (uint32) fill half of a small first cache of a core."""
_SIGN = np.uint64(1 << 63)


@kernel
def sortable_ints(values: Array, out: Array) -> None:
    """Writes words that order like signed integers."""
    for i in range(len(values)):
        out[i] = np.uint64(np.int64(values[i])) ^ _SIGN


@kernel
def sortable_unsigned(values: Array, out: Array) -> None:
    """Writes words that order like unsigned integers."""
    for i in range(len(values)):
        out[i] = values[i]


@kernel
def sortable_floats(values: Array, out: Array) -> None:
    """Writes words that order like floats; both zeros are equal, every NaN is equal and the greatest."""
    for i in range(len(values)):
        x = np.float64(values[i])
        if x != x:
            out[i] = np.uint64(0xFFFFFFFFFFFFFFFF)
            continue
        bits = np.float64(x + 0.0).view(np.int64)
        out[i] = np.uint64(~bits) if bits < 0 else np.uint64(bits) ^ _SIGN


@kernel
def group_starts(gids: Array, starts: Array) -> None:
    """Writes where each group's rows begin once rows stand by group; `starts` has one entry more than groups."""
    for i in range(len(gids)):
        starts[gids[i] + 1] += 1
    for g in range(1, len(starts)):
        starts[g] += starts[g - 1]


@kernel
def group_rows(gids: Array, words: Array, order: Array, cursor: Array, out_words: Array, out_rows: Array) -> None:
    """Writes words and row numbers by group, rows taken in the given order; `cursor` holds starts, ends as ends."""
    for i in range(len(order)):
        row = order[i]
        at = cursor[gids[row]]
        out_rows[at] = row
        out_words[at] = words[row]
        cursor[gids[row]] = at + 1


@inline_kernel
def _insertion(words: Array, rows: Array, first: Any, last: Any) -> None:
    for i in range(first + 1, last):
        word, row = words[i], rows[i]
        j = i
        while j > first and words[j - 1] > word:
            words[j] = words[j - 1]
            rows[j] = rows[j - 1]
            j -= 1
        words[j] = word
        rows[j] = row


@inline_kernel
def _radix(words: Array, rows: Array, spare_words: Array, spare_rows: Array, varying: Any, counts: Array) -> None:
    size = len(words)
    for digit in range(8):
        shift = np.uint64(8 * digit)
        if (varying >> shift) & np.uint64(255) == 0:
            continue
        counts[:] = 0
        for i in range(size):
            counts[(words[i] >> shift) & np.uint64(255)] += 1
        total = 0
        for d in range(256):
            here = counts[d]
            counts[d] = total
            total += here
        for i in range(size):
            d = (words[i] >> shift) & np.uint64(255)
            at = counts[d]
            counts[d] = at + 1
            spare_words[at] = words[i]
            spare_rows[at] = rows[i]
        for i in range(size):
            words[i] = spare_words[i]
            rows[i] = spare_rows[i]


@kernel
def sort_groups(words: Array, rows: Array, starts: Array, spare_words: Array, spare_rows: Array) -> None:
    """Sorts each group's (word, row) pairs by word, stably and in place.

    Parameters
    ----------
    words : ndarray, shape (rows,), uint64
    rows : ndarray, shape (rows,), int64
    starts : ndarray, shape (groups + 1,), int64
    spare_words, spare_rows : ndarray
        As long as the largest group; their content is lost.
    """
    counts = np.empty(256, np.int64)
    for g in range(len(starts) - 1):
        first, last = starts[g], starts[g + 1]
        varying = np.uint64(0)
        sorted_already = True
        for i in range(first + 1, last):
            varying |= words[i] ^ words[first]
            if words[i] < words[i - 1]:
                sorted_already = False
        if sorted_already:
            continue
        if last - first <= _INSERTION:
            _insertion(words, rows, first, last)
        else:
            _radix(words[first:last], rows[first:last], spare_words, spare_rows, varying, counts)


@kernel
def out_of_order(words: Array, gids: Array, last: Array, most: int) -> int:
    """Counts the rows whose word is smaller than that of the row before in their group; stops beyond `most`.

    `last` has a zero per group.
    """
    found = 0
    for i in range(len(words)):
        g = gids[i]
        if words[i] < last[g]:
            found += 1
            if found > most:
                return found
        last[g] = words[i]
    return found


@kernel
def pack_rows(words: Array, low: Any, row_bits: int) -> None:
    """Replaces words by what they are above the smallest, with the number of the row in the low bits."""
    for i in range(len(words)):
        words[i] = (words[i] - low) << np.uint64(row_bits) | np.uint64(i)


@kernel
def sort_packed(keys: Array, spare: Array, low_bit: int, bits: int) -> int:
    """Sorts keys stably by some of their bits; returns 1 if the result is in `spare`, else 0.

    Parameters
    ----------
    keys, spare : ndarray, shape (rows,), uint64
        Both are written.
    low_bit, bits : int
        The bits to sort by begin at `low_bit`.

    Notes
    -----
    As few passes as possible, and all of about as many bits. There are fewer than 2**32 keys.
    """
    passes = (bits + MOST_DIGIT_BITS - 1) // MOST_DIGIT_BITS
    if passes == 0:
        return 0
    digit_bits = (bits + passes - 1) // passes
    counts = np.empty(1 << digit_bits, np.uint32)
    mask = np.uint64((1 << digit_bits) - 1)
    for p in range(passes):
        shift = np.uint64(low_bit + p * digit_bits)
        source, target = (keys, spare) if p % 2 == 0 else (spare, keys)
        counts[:] = 0
        for i in range(len(source)):
            counts[(source[i] >> shift) & mask] += 1
        total = np.uint32(0)
        for d in range(len(counts)):
            here = counts[d]
            counts[d] = total
            total += here
        for i in range(len(source)):
            d = (source[i] >> shift) & mask
            at = counts[d]
            counts[d] = at + np.uint32(1)
            target[np.uint64(at)] = source[i]
    return passes % 2


@kernel
def group_packed(keys: Array, row_bits: int, gids: Array, cursor: Array, out_rows: Array) -> None:
    """Writes the row numbers in the low bits of keys by group, in the order of the keys; `cursor` holds starts."""
    mask = np.uint64((1 << row_bits) - 1)
    for i in range(len(keys)):
        row = keys[i] & mask
        at = cursor[gids[row]]
        out_rows[at] = np.int64(row)
        cursor[gids[row]] = at + 1
