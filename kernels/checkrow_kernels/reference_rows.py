"""Slow references of what moves, orders and converts rows: NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from checkrow_kernels import sort

Array = Any


def partition_of(hashes: Array, bits: int, out: Array) -> None:
    """Takes the top bits."""
    out[:] = [int(h) >> (64 - bits) for h in hashes]


def count_partitions(ids: Array, counts: Array) -> None:
    """Counts rows per partition."""
    counts += np.bincount(ids, minlength=len(counts))


def positions(ids: Array, cursor: Array, out: Array) -> None:
    """Ranks rows by partition."""
    out[np.argsort(ids, kind="stable")] = np.arange(len(ids))
    cursor += np.bincount(ids, minlength=len(cursor))


def place(values: Array, at: Array, out: Array) -> None:
    """Scatters values."""
    out[at] = values


def place_above(values: Array, at: Array, base: int, out: Array) -> None:
    """Computes in Python's integers."""
    out[at] = [v - base for v in values.tolist()]


def widen_above(values: Array, base: int, out: Array) -> None:
    """Computes in Python's integers."""
    out[:] = [v + base for v in values.tolist()]


def place_pairs(words: Array, at: Array, out: Array) -> None:
    """Scatters two-word values."""
    out.reshape(-1, 2)[at] = words.reshape(-1, 2)


def place_lengths(offsets: Array, at: Array, out: Array) -> None:
    """Scatters text lengths."""
    out[at] = np.diff(offsets)


def place_bytes(offsets: Array, data: Array, at: Array, out_offsets: Array, out_data: Array) -> None:
    """Scatters texts."""
    for i, j in enumerate(at):
        out_data[out_offsets[j] : out_offsets[j + 1]] = data[offsets[i] : offsets[i + 1]]


def sortable_ints(values: Array, out: Array) -> None:
    """Shifts integers so that the smallest is 0."""
    out[:] = [int(v) + 2**63 for v in values]


def sortable_unsigned(values: Array, out: Array) -> None:
    """Copies."""
    out[:] = values


def sortable_floats(values: Array, out: Array) -> None:
    """Counts the floats below each one."""

    def word(x: float) -> int:
        if x != x:
            return 2**64 - 1
        bits = int(np.float64(abs(x)).view(np.uint64))
        return 2**63 + bits if x >= 0 else 2**63 - 1 - bits

    out[:] = [word(float(x)) for x in values]


def group_starts(gids: Array, starts: Array) -> None:
    """Counts rows of lower groups."""
    starts[1:] = np.cumsum(np.bincount(gids, minlength=len(starts) - 1))


def group_rows(gids: Array, words: Array, order: Array, cursor: Array, out_words: Array, out_rows: Array) -> None:
    """Sorts an order by group."""
    out_rows[:] = order[np.argsort(gids[order], kind="stable")]
    out_words[:] = words[out_rows]
    cursor += np.bincount(gids, minlength=len(cursor))


def out_of_order(words: Array, gids: Array, last: Array, most: int) -> int:
    """Goes row by row."""
    found = 0
    for word, g in zip(words.tolist(), gids.tolist(), strict=True):
        found += int(word < int(last[g]))
        if found > most:
            return found
        last[g] = word
    return found


def pack_rows(words: Array, low: Any, row_bits: int) -> None:
    """Computes in Python's integers."""
    words[:] = [(w - int(low) << row_bits) + i for i, w in enumerate(words.tolist())]


def sort_packed(keys: Array, spare: Array, low_bit: int, bits: int) -> int:
    """Sorts pass by pass with Python's sort, as both arrays keep what a pass left there."""
    arrays, passes = (keys, spare), -(-bits // sort.MOST_DIGIT_BITS)
    digit_bits = -(-bits // max(1, passes))
    for p in range(passes):
        shift, mask = low_bit + p * digit_bits, (1 << digit_bits) - 1
        arrays[(p + 1) % 2][:] = sorted(arrays[p % 2].tolist(), key=lambda k: k >> shift & mask)
    return passes % 2


def group_packed(keys: Array, row_bits: int, gids: Array, cursor: Array, out_rows: Array) -> None:
    """Goes key by key."""
    for key in keys.tolist():
        row = key & (1 << row_bits) - 1
        out_rows[cursor[gids[row]]] = row
        cursor[gids[row]] += 1


def sort_groups(words: Array, rows: Array, starts: Array, _spare_words: Array, _spare_rows: Array) -> None:
    """Sorts each group."""
    for first, last in itertools.pairwise(starts):
        order = first + np.argsort(words[first:last], kind="stable")
        words[first:last], rows[first:last] = words[order], rows[order]


def take(values: Array, rows: Array, out: Array) -> None:
    """Gathers values."""
    out[:] = values[rows]


def take_pairs(words: Array, rows: Array, out: Array) -> None:
    """Gathers two-word values."""
    out[:] = words.reshape(-1, 2)[rows].ravel()


def take_lengths(offsets: Array, rows: Array, out_offsets: Array) -> int:
    """Gathers text lengths."""
    out_offsets[0] = 0
    out_offsets[1:] = np.cumsum(np.diff(offsets)[rows])
    return int(out_offsets[-1])


def take_bytes(offsets: Array, data: Array, rows: Array, out_offsets: Array, out_data: Array) -> None:
    """Gathers texts."""
    for i, r in enumerate(rows):
        out_data[out_offsets[i] : out_offsets[i + 1]] = data[offsets[r] : offsets[r + 1]]


def unpack_bits(bitmap: Array, offset: int, rows: int, out: Array) -> None:
    """Reads a bitmap."""
    out[:] = np.unpackbits(bitmap, bitorder="little")[offset : offset + rows]


def pack_bits(mask: Array, rows: int, out: Array) -> None:
    """Writes a bitmap."""
    out[:] = np.packbits(mask[:rows] != 0, bitorder="little")


def low_words(words: Array, rows: int, out: Array) -> int:
    """Takes low words."""
    out[:] = words[::2]
    return int(
        all(int(h) == (-1 if int(v) < 0 else 0) for v, h in zip(words[::2], words[1::2], strict=True)) or not rows
    )


def widen(values: Array, out: Array) -> None:
    """Extends signs."""
    out[::2] = values
    out[1::2] = np.where(values < 0, -1, 0)


def minmax_int(values: Array, rows: int) -> tuple[int, int]:
    """Takes both ends."""
    return int(values[:rows].min()), int(values[:rows].max())
