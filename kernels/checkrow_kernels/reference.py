"""Slow, plain references of the kernels: Python integers and NumPy, written to be read, not to be fast."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

Array = Any
_MASK = (1 << 64) - 1
_NULL = 0x9E3779B97F4A7C15
_EPOCH = dt.date(1970, 1, 1).toordinal()


def mix64(x: int) -> int:
    """Mixes 64 bits (the finaliser of MurmurHash3)."""
    x ^= x >> 33
    x = x * 0xFF51AFD7ED558CCD & _MASK
    x ^= x >> 33
    x = x * 0xC4CEB9FE1A85EC53 & _MASK
    return x ^ x >> 33


def combine(h: int, word: int) -> int:
    """Returns the hash of a hash and one more word."""
    return mix64((h << 31 & _MASK | h >> 33) ^ mix64(word))


def hash_text(data: bytes) -> int:
    """Returns the hash of some bytes."""
    h = 0xCBF29CE484222325
    whole = len(data) // 8 * 8
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
    for word in (*words, int.from_bytes(data[whole:], "little")):
        h = mix64((h ^ word) * 0x100000001B3 & _MASK)
    return mix64((h ^ len(data)) * 0x100000001B3 & _MASK)


def hash_int64(values: Array, valid: Array, has_valid: bool, out: Array, first: bool) -> None:
    """Hashes integers."""
    for i, v in enumerate(values.tolist()):
        word = _NULL if has_valid and not valid[i] else v & _MASK
        out[i] = mix64(word) if first else combine(int(out[i]), word)


def hash_strings(offsets: Array, data: Array, valid: Array, has_valid: bool, out: Array, first: bool) -> None:
    """Hashes texts."""
    for i in range(len(offsets) - 1):
        word = _NULL if has_valid and not valid[i] else hash_text(data[offsets[i] : offsets[i + 1]].tobytes())
        out[i] = mix64(word) if first else combine(int(out[i]), word)


def partition_of(hashes: Array, bits: int, out: Array) -> None:
    """Takes the top bits."""
    out[:] = [int(h) >> (64 - bits) for h in hashes]


def count_partitions(ids: Array, counts: Array) -> None:
    """Counts rows per partition."""
    counts += np.bincount(ids, minlength=len(counts))


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


def count_valid(gids: Array, valid: Array, counts: Array) -> None:
    """Counts what is not null."""
    for g, ok in zip(gids, valid, strict=True):
        counts[g] += bool(ok)


def add_int64(gids: Array, other: Array, states: Array) -> None:
    """Adds counts."""
    np.add.at(states, gids, other)


def sum_float(gids: Array, values: Array, valid: Array, has_valid: bool, states: Array) -> None:
    """Adds floats in row order."""
    for g, v, ok in zip(gids, values, valid, strict=True):
        if ok or not has_valid:
            states[g] += v


def min_state(gids: Array, values: Array, valid: Array, has_valid: bool, states: Array) -> None:
    """Keeps the smallest."""
    for g, v, ok in zip(gids, values, valid, strict=True):
        if ok or not has_valid:
            states[g] = min(states[g], v)


def max_state(gids: Array, values: Array, valid: Array, has_valid: bool, states: Array) -> None:
    """Keeps the greatest."""
    for g, v, ok in zip(gids, values, valid, strict=True):
        if ok or not has_valid:
            states[g] = max(states[g], v)


def remap(codes: Array, mapping: Array, out: Array) -> None:
    """Translates codes."""
    out[:] = [mapping[c] if c >= 0 else -1 for c in codes]


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


def truncate_month_days(values: Array, out: Array) -> None:
    """Takes the first of the month."""
    out[:] = [_days(dt.date.fromordinal(int(v) + _EPOCH).replace(day=1)) for v in values]


def truncate_year_days(values: Array, out: Array) -> None:
    """Takes the first of January."""
    out[:] = [_days(dt.date.fromordinal(int(v) + _EPOCH).replace(month=1, day=1)) for v in values]


def _days(date: dt.date) -> int:
    return date.toordinal() - _EPOCH
