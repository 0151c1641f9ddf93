"""Packing group keys into 64-bit words by the ranges they take, and hashing them.

A layout says where each key's bits stand. Ranges come from statistics and grow when a batch leaves them: the table's
keys are unpacked, a wider layout is made, and they are packed again. Equal keys have equal words; a null key has
its own flag bit.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from checkrow.buffers import converted, empty, filled, frozen
from checkrow.compile.driver import KeyField
from checkrow.expressions import types
from checkrow.expressions.bounds import Interval
from checkrow.operators.column import Columns
from checkrow_kernels.hashing import hash_int64, hash_strings
from checkrow_kernels.packing import pack_nulls, pack_values

Array = NDArray[Any]
DIRECT_BITS = 16
_NO_VALID = frozen(np.empty(0, np.uint8))
_WORD = 8
_FULL = (-(2**63), 2**63 - 1)


class Key(msgspec.Struct, frozen=True):
    """A key's type and whether it may be null."""

    dtype: str
    nullable: bool


class KeyLayout(msgspec.Struct, frozen=True, kw_only=True):
    """Where every key stands: parallel to `fields` are `base` (subtracted), `limit` (largest allowed) and `shift`."""

    keys: tuple[Key, ...]
    ranges: tuple[Interval, ...]
    fields: tuple[KeyField, ...]
    words: int
    bits: int
    base: Array
    limit: Array
    shift: Array

    @property
    def direct(self) -> bool:
        """Whether one word is small enough to address the group table itself."""
        return self.words == 1 and self.bits <= DIRECT_BITS


def layout(keys: tuple[Key, ...], ranges: tuple[Interval | None, ...]) -> KeyLayout:
    """Returns the layout for keys with known ranges (None: all 64 bits)."""
    fields: list[KeyField] = []
    placed: list[tuple[int, int, int]] = []
    word = used = 0
    full = tuple(r or _FULL for r in ranges)
    for number, (key, (low, high)) in enumerate(zip(keys, full, strict=True)):
        parts = [(False, low, high - low)] + ([(True, 0, 1)] if key.nullable else [])
        for null_flag, base, limit in parts:
            bits = max(1, int(limit).bit_length())
            if used + bits > 64:
                word, used = word + 1, 0
            fields.append(KeyField(key=number, null_flag=null_flag, word=word))
            placed.append((base, limit, used))
            used += bits
    mask = 2**64 - 1
    return KeyLayout(
        keys=keys, ranges=full, fields=tuple(fields), words=word + 1, bits=used if word == 0 else 64 * word + used,
        base=np.array([b & mask for b, _, _ in placed], np.uint64),
        limit=np.array([m for _, m, _ in placed], np.uint64),
        shift=np.array([s for _, _, s in placed], np.uint64),
    )  # fmt: skip


def key_bits(dtype: str, values: Array) -> Array:
    """Returns key values as int64 bit patterns: one zero, one NaN; codes and integers as they are, not copied."""
    if types.is_float(dtype):
        plain = values.astype(np.float64) + 0.0
        plain[np.isnan(plain)] = np.nan
        return plain.view(np.int64)
    if values.itemsize == _WORD:
        return values.view(np.int64)
    return converted(values, np.int64)


def observed(bits: Array, valid: Array | None) -> Interval | None:
    """Returns the range of bit patterns that are not null, or None when there are none."""
    kept = bits if valid is None else bits[valid != 0]
    return (int(kept.min()), int(kept.max())) if len(kept) else None


def covers(plan: KeyLayout, seen: tuple[Interval | None, ...]) -> bool:
    """Tells whether a layout has room for observed ranges."""
    return all(s is None or (r[0] <= s[0] and s[1] <= r[1]) for r, s in zip(plan.ranges, seen, strict=True))


def widened(plan: KeyLayout, seen: tuple[Interval | None, ...]) -> KeyLayout:
    """Returns a layout with room for what it had and what was observed, with slack so that this is rare."""
    out: list[Interval | None] = []
    for (low, high), more in zip(plan.ranges, seen, strict=True):
        if more is None or (low <= more[0] and more[1] <= high):
            out.append((low, high))
            continue
        span = max(high, more[1]) - min(low, more[0])
        first = low if low <= more[0] else max(_FULL[0], more[0] - span)
        last = high if more[1] <= high else min(_FULL[1], more[1] + span)
        out.append((first, last))
    return layout(plan.keys, tuple(out))


def pack(plan: KeyLayout, bits: tuple[Array, ...], valid: tuple[Array | None, ...]) -> tuple[Array, ...]:
    """Returns the words (int64 arrays) of keys given as bit patterns."""
    rows = len(bits[0]) if bits else 0
    words = [filled(rows, np.uint64, 0) for _ in range(plan.words)]
    for number, field in enumerate(plan.fields):
        ok, shift, out = valid[field.key], plan.shift[number], words[field.word]
        if not field.null_flag:
            pack_values(frozen(bits[field.key]), *_there(ok), plan.base[number], shift, out)
        elif ok is not None and not ok.all():
            pack_nulls(frozen(ok), shift, out)
    return tuple(w.view(np.int64) for w in words)


def _there(valid: Array | None) -> tuple[Array, bool]:
    """Returns a validity as kernels take it: an array, and whether it counts."""
    return (_NO_VALID, False) if valid is None else (frozen(valid), True)


def unpack(plan: KeyLayout, words: tuple[Array, ...]) -> tuple[tuple[Array, ...], tuple[Array | None, ...]]:
    """Returns (bit patterns, validity) of keys given as words; the inverse of `pack`."""
    bits: list[Array] = [np.empty(0, np.int64)] * len(plan.keys)
    valid: list[Array | None] = [None] * len(plan.keys)
    for number, field in enumerate(plan.fields):
        limit = plan.limit[number]
        mask = np.uint64((1 << max(1, int(limit).bit_length())) - 1)
        part = (words[field.word].view(np.uint64) >> plan.shift[number]) & mask
        if field.null_flag:
            valid[field.key] = (part == 0).astype(np.uint8)
        else:
            bits[field.key] = (part + plan.base[number]).view(np.int64)
    return tuple(bits), tuple(valid)


def key_values(dtype: str, bits: Array) -> Array:
    """Returns bit patterns as a key column's values."""
    if types.is_float(dtype):
        return bits.view(np.float64).astype(types.numpy_dtype(dtype))
    if types.is_text(dtype):
        return bits.astype(np.int32)
    kind = types.numpy_dtype(dtype)
    return bits.view(np.uint64) if kind == np.uint64 else bits.astype(kind)


def hash_keys(columns: Columns, keys: int) -> Array:
    """Returns a hash per row of the first `keys` columns: the same on every machine, task and run.

    Text is hashed by its bytes, numbers by their 64-bit pattern, null by a mark of its own.
    """
    if not keys:
        return filled(columns.rows, np.uint64, 0)
    out = empty(columns.rows, np.uint64)
    for number, column in enumerate(columns.columns[:keys]):
        there = _there(column.valid)
        if column.offsets is not None:
            hash_strings(frozen(column.offsets), frozen(column.values), *there, out, number == 0)
        else:
            hash_int64(frozen(key_bits(column.dtype, column.values)), *there, out, number == 0)
    return out
