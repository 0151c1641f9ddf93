"""Slow references of group states: Python integers and fractions, without limits."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

Array = Any
_MASK = (1 << 64) - 1


def count_rows(gids: Array, rows: int, counts: Array) -> None:
    """Counts rows."""
    counts += np.bincount(gids[:rows], minlength=len(counts))


def count_valid(gids: Array, valid: Array, counts: Array) -> None:
    """Counts what is not null."""
    for g, ok in zip(gids, valid, strict=True):
        counts[g] += bool(ok)


def add_int64(gids: Array, other: Array, states: Array) -> None:
    """Adds counts."""
    np.add.at(states, gids, other)


def sum_int(gids: Array, values: Array, valid: Array, has_valid: bool, low: Array, high: Array) -> None:
    """Adds the halves of integers."""
    for g, v, ok in zip(gids, values.tolist(), valid, strict=True):
        if ok or not has_valid:
            low[g] += v % 2**32
            high[g] += v // 2**32


def normalise_split(low: Array, high: Array, count: int) -> None:
    """Carries."""
    for g in range(count):
        high[g], low[g] = divmod(_split(low, high, g), 2**32)


def merge_split(gids: Array, other_low: Array, other_high: Array, low: Array, high: Array) -> None:
    """Adds halves."""
    np.add.at(low, gids, other_low)
    np.add.at(high, gids, other_high)


def split_fits_int64(high: Array, count: int) -> int:
    """Finds the first sum beyond 64 bits."""
    return next((g for g in range(count) if not -(2**63) <= int(high[g]) * 2**32 < 2**63), -1)


def split_to_int64(low: Array, high: Array, count: int, out: Array) -> None:
    """Joins halves."""
    out[:count] = [_split(low, high, g) for g in range(count)]


def split_to_pairs(low: Array, high: Array, count: int, out: Array) -> None:
    """Joins halves to two words."""
    for g in range(count):
        out[2 * g : 2 * g + 2] = words_of(_split(low, high, g), 2)


def sum_pairs(gids: Array, words: Array, valid: Array, has_valid: bool, w0: Array, w1: Array, w2: Array) -> None:
    """Adds two-word integers."""
    for i, g in enumerate(gids):
        if valid[i] or not has_valid:
            total = value_of(w0[g], w1[g], w2[g]) + value_of(*words[2 * i : 2 * i + 2])
            w0[g], w1[g], w2[g] = words_of(total, 3)


def merge_triple(gids: Array, o0: Array, o1: Array, o2: Array, w0: Array, w1: Array, w2: Array) -> None:
    """Adds three-word integers."""
    for i, g in enumerate(gids):
        total = value_of(w0[g], w1[g], w2[g]) + value_of(o0[i], o1[i], o2[i])
        w0[g], w1[g], w2[g] = words_of(total, 3)


def triple_to_pairs(w0: Array, w1: Array, w2: Array, count: int, out: Array) -> int:
    """Drops the third word while it is a sign."""
    for g in range(count):
        total = value_of(w0[g], w1[g], w2[g])
        if not -(2**127) <= total < 2**127:
            return g
        out[2 * g : 2 * g + 2] = words_of(total, 2)
    return -1


def triple_to_float(w0: Array, w1: Array, w2: Array, count: int, out: Array) -> None:
    """Rounds three-word integers once."""
    out[:count] = [float(value_of(w0[g], w1[g], w2[g])) for g in range(count)]


def sum_float(gids: Array, values: Array, valid: Array, has_valid: bool, states: Array) -> None:
    """Adds floats in row order."""
    for g, v, ok in zip(gids, values, valid, strict=True):
        if ok or not has_valid:
            states[g] += v


def min_state(gids: Array, values: Array, valid: Array, has_valid: bool, states: Array) -> None:
    """Keeps the smallest; NaN is the greatest."""
    for g, v, ok in zip(gids, values, valid, strict=True):
        if ok or not has_valid:
            states[g] = min(states[g], v, key=_order)


def max_state(gids: Array, values: Array, valid: Array, has_valid: bool, states: Array) -> None:
    """Keeps the greatest, which NaN is."""
    for g, v, ok in zip(gids, values, valid, strict=True):
        if ok or not has_valid:
            states[g] = max(states[g], v, key=_order)


def add_moments(
    gids: Array, values: Array, valid: Array, has_valid: bool, n: Array, mean: Array, square: Array
) -> None:
    """Collects the values of every group beside what its moments stand for, exactly."""
    for g in range(len(n)):
        some = [Fraction(v) for v in values[(gids == g) & ((valid != 0) if has_valid else True)].tolist()]
        merged = _moments(some)
        n[g], mean[g], square[g] = _joined((Fraction(n[g]), Fraction(mean[g]), Fraction(square[g])), merged)


def merge_moments(
    gids: Array, o_n: Array, o_mean: Array, o_square: Array, n: Array, mean: Array, square: Array
) -> None:
    """Merges moments exactly."""
    for i, g in enumerate(gids.tolist()):
        mine = Fraction(n[g]), Fraction(mean[g]), Fraction(square[g])
        n[g], mean[g], square[g] = _joined(mine, (Fraction(o_n[i]), Fraction(o_mean[i]), Fraction(o_square[i])))


def words_of(value: int, count: int) -> list[int]:
    """Returns an integer as signed 64-bit words, the lowest first, wrapped to that many words."""
    words = [value >> 64 * j & _MASK for j in range(count)]
    return [w - 2**64 if w >> 63 else w for w in words]


def value_of(*words: int) -> int:
    """Returns the integer that signed 64-bit words stand for, the lowest first."""
    lower = sum((int(w) & _MASK) << 64 * j for j, w in enumerate(words[:-1]))
    return lower + (int(words[-1]) << 64 * (len(words) - 1))


def _moments(values: list[Fraction]) -> tuple[Fraction, Fraction, Fraction]:
    if not values:
        return Fraction(0), Fraction(0), Fraction(0)
    mean = sum(values, Fraction(0)) / len(values)
    return Fraction(len(values)), mean, sum(((v - mean) ** 2 for v in values), Fraction(0))


def _joined(a: tuple[Fraction, ...], b: tuple[Fraction, ...]) -> tuple[float, float, float]:
    if not a[0] or not b[0]:
        some = a if a[0] else b
        return float(some[0]), float(some[1]), float(some[2])
    total = a[0] + b[0]
    mean = (a[0] * a[1] + b[0] * b[1]) / total
    square = a[2] + b[2] + a[0] * (a[1] - mean) ** 2 + b[0] * (b[1] - mean) ** 2
    return float(total), float(mean), float(square)


def _order(value: float) -> tuple[bool, float]:
    return value != value, value


def _split(low: Array, high: Array, g: int) -> int:
    return int(high[g]) * 2**32 + int(low[g])
