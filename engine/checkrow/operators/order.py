"""Order columns as 64-bit words whose unsigned order is the order wanted, and rows put into it within groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checkrow.buffers import empty, filled, frozen
from checkrow.expressions import types
from checkrow.lazily import compute as pc
from checkrow.operators.column import Column
from checkrow.operators.strings import StringTable
from checkrow_kernels.sort import (
    group_packed,
    group_rows,
    out_of_order,
    pack_rows,
    sort_groups,
    sort_packed,
    sortable_floats,
    sortable_ints,
    sortable_unsigned,
)

Array = NDArray[Any]
_SIGN = np.uint64(1 << 63)
_FEW = 64
"""One row in so many out of order is few."""


def order_words(columns: Sequence[Column], descending: Sequence[bool]) -> list[Array]:
    """Returns words for rows ordered by columns; nulls come last, NaN is the greatest value, ties stay equal.

    A single word is left as it is; several are reduced to their ranges and packed.
    """
    words = [w for c, d in zip(columns, descending, strict=True) for w in _words(c, reverse=d)]
    return words if len(words) <= 1 else _packed([_reduced(w) for w in words])


def rows_in_order(words: Sequence[Array], gids: Array, starts: Array) -> Array:
    """Returns row numbers by group and, within each, stably by words.

    Parameters
    ----------
    words : sequence of ndarray, shape (rows,), uint64
        Most significant first (see `order_words`); without any, rows of a group stay as they are. Their content is
        lost.
    gids : ndarray, shape (rows,), int32
    starts : ndarray, shape (groups + 1,), int64
        Where each group begins once rows stand by group.
    """
    rows = len(gids)
    if len(words) == 1:
        return _by_word(words[0], gids, starts)
    order = np.arange(rows)
    if not words:
        return _sorted(filled(rows, np.uint64, 0), order, gids, starts)
    # Least significant word first; every pass is stable.
    for word in words[:0:-1]:
        order = _sorted(word, order, filled(rows, np.int32, 0), np.array([0, rows], np.int64))
    return _sorted(words[0], order, gids, starts)


def _by_word(words: Array, gids: Array, starts: Array) -> Array:
    """Returns the rows by group and word: group by group where few are out of order, else all rows at once."""
    rows, row_bits = len(words), max(1, len(words) - 1).bit_length()
    low = words.min() if rows else np.uint64(0)
    bits = int(words.max() - low).bit_length() if rows else 0
    few = rows // _FEW
    groups = len(starts) - 1
    if bits + row_bits > 64 or out_of_order(frozen(words), frozen(gids), np.zeros(groups, np.uint64), few) <= few:
        return _sorted(words, np.arange(rows), gids, starts)
    keys, spare = words, empty(rows, np.uint64)
    pack_rows(keys, low, row_bits)
    if sort_packed(keys, spare, row_bits, bits):
        keys, spare = spare, keys
    out = spare.view(np.int64)
    group_packed(frozen(keys), row_bits, frozen(gids), starts[:-1].copy(), out)
    return out


def _sorted(words: Array, order: Array, gids: Array, starts: Array) -> Array:
    """Returns the rows of `order` by group and, within a group, stably by word."""
    out_words, out_rows = empty(len(order), np.uint64), empty(len(order), np.int64)
    group_rows(frozen(gids), frozen(words), frozen(order), starts[:-1].copy(), out_words, out_rows)
    largest = int(np.diff(starts).max()) if len(starts) > 1 else 0
    sort_groups(out_words, out_rows, frozen(starts), empty(largest, np.uint64), empty(largest, np.int64))
    return out_rows


def _words(column: Column, *, reverse: bool) -> list[Array]:
    """Returns one column's words, most significant first."""
    words = [~w if reverse else w for w in _values(column)]
    if column.valid is None:
        return words
    there = column.valid != 0
    # What stands under a null orders nothing and must not widen the range.
    filled = [np.where(there, w, w[there].min() if there.any() else np.uint64(0)) for w in words]
    return [(~there).astype(np.uint64), *filled]


def _reduced(words: Array) -> tuple[Array, int]:
    """Returns words less their smallest, and the bits they take."""
    if not len(words):
        return words, 0
    low = words.min()
    return words - low, int(words.max() - low).bit_length()


def _values(column: Column) -> list[Array]:
    if column.offsets is not None or column.table is not None:
        return [_text_ranks(column)]
    if types.is_wide(column.dtype):
        low, high = column.values[::2], column.values[1::2]
        return [high.astype(np.uint64) ^ _SIGN, low.astype(np.uint64)]
    out = empty(len(column.values), np.uint64)
    values = frozen(column.values)
    if values.dtype.kind == "f":
        sortable_floats(values, out)
    elif values.dtype.kind == "u":
        sortable_unsigned(values, out)
    else:
        sortable_ints(values, out)
    return [out]


def _text_ranks(column: Column) -> Array:
    """Returns each text's rank among the distinct texts, by bytes."""
    plain = column.spelled()
    if plain.offsets is None:
        raise AssertionError("spelled text has offsets")
    table = StringTable()
    codes = table.encode(plain.offsets, plain.values, plain.valid)
    offsets, data = table.strings()
    distinct = pa.Array.from_buffers(pa.large_binary(), table.count, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    ranks = np.zeros(table.count + 1, np.uint64)
    ranks[pc.sort_indices(distinct).to_numpy()] = np.arange(table.count, dtype=np.uint64)
    return ranks[codes]  # a null's code -1 takes the spare last entry


def _packed(parts: list[tuple[Array, int]]) -> list[Array]:
    """Joins neighbouring words while they fit 64 bits."""
    out: list[Array] = []
    used = 64
    for words, bits in parts:
        if used + bits <= 64 and out:
            out[-1] = out[-1] << np.uint64(bits) | words if bits < 64 else words
            used += bits
        else:
            out.append(words)
            used = bits
    return out
