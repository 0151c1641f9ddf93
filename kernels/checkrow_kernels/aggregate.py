"""States of built-in aggregates: arrays indexed by group, updated row by row and merged table by table.

Exact sums are split: `low` gathers the lower 32 bits of each value, `high` the rest, so that the sum is
`high * 2**32 + low` exactly. `low` stays below 2**63 for 2**31 updates between two normalisations, and `high` holds
any sum below 2**95. Two-word values (decimal128, uint64) are summed in three words; `w0` and `w1` hold unsigned bits.

States start at the neutral element of their update and no group is marked as seen: 0 for counts and sums, the far end
of the type for smallest and largest, where NaN is the greatest float. Updates and merges take rows in order: O(rows).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.jit import ENABLED, inline_kernel, kernel

Array = NDArray[Any]
_LOW = 0xFFFFFFFF
_WORD = 0xFFFFFFFFFFFFFFFF


@kernel
def count_rows(gids: Array, rows: int, counts: Array) -> None:
    """Counts rows."""
    for i in range(rows):
        counts[gids[i]] += 1


@kernel
def count_valid(gids: Array, valid: Array, counts: Array) -> None:
    """Counts rows that are not null."""
    for i in range(len(gids)):
        counts[gids[i]] += valid[i] != 0


@kernel
def add_int64(gids: Array, other: Array, states: Array) -> None:
    """Merges counts."""
    for i in range(len(gids)):
        states[gids[i]] += other[i]


@kernel
def sum_int(gids: Array, values: Array, valid: Array, has_valid: bool, low: Array, high: Array) -> None:
    """Adds integers of up to 64 bits exactly; uint64 goes through `sum_pairs`, its upper half is no sign here."""
    for i in range(len(gids)):
        if has_valid and valid[i] == 0:
            continue
        x = np.int64(values[i])
        low[gids[i]] += x & _LOW
        high[gids[i]] += x >> 32


@kernel
def normalise_split(low: Array, high: Array, count: int) -> None:
    """Carries the upper part of `low` into `high`: afterwards `0 <= low < 2**32`."""
    for g in range(count):
        high[g] += low[g] >> 32
        low[g] &= _LOW


@kernel
def merge_split(gids: Array, other_low: Array, other_high: Array, low: Array, high: Array) -> None:
    """Merges exact sums."""
    for i in range(len(gids)):
        low[gids[i]] += other_low[i]
        high[gids[i]] += other_high[i]


@kernel
def split_fits_int64(high: Array, count: int) -> int:
    """Returns the first group whose normalised sum does not fit int64, or -1."""
    for g in range(count):
        if high[g] >= 2**31 or high[g] < -(2**31):
            return g
    return -1


@kernel
def split_to_int64(low: Array, high: Array, count: int, out: Array) -> None:
    """Writes normalised sums that fit int64."""
    for g in range(count):
        out[g] = (high[g] << 32) | low[g]


@kernel
def split_to_pairs(low: Array, high: Array, count: int, out: Array) -> None:
    """Writes normalised sums as two-word integers (low word first)."""
    for g in range(count):
        out[2 * g] = (high[g] << 32) | low[g]
        out[2 * g + 1] = high[g] >> 32


def _add_word_compiled(states: Any, g: Any, word: Any) -> Any:
    total = np.uint64(states[g]) + word
    states[g] = np.int64(total)
    return np.uint64(1) if total < word else np.uint64(0)


def _add_word_plain(states: Any, g: Any, word: Any) -> Any:
    # Python integers: NumPy scalars would warn where machine words wrap.
    total = (int(states[g]) & _WORD) + int(word)
    states[g] = np.uint64(total & _WORD).astype(np.int64)
    return np.uint64(total >> 64)


# Adds an unsigned word to a word of a sum and returns the carry.
_add_word = inline_kernel(_add_word_compiled) if ENABLED else _add_word_plain


@kernel
def sum_pairs(gids: Array, words: Array, valid: Array, has_valid: bool, w0: Array, w1: Array, w2: Array) -> None:
    """Adds two-word integers exactly into three-word sums."""
    for i in range(len(gids)):
        if has_valid and valid[i] == 0:
            continue
        g = gids[i]
        carry = _add_word(w0, g, np.uint64(words[2 * i]))
        more = _add_word(w1, g, carry) + _add_word(w1, g, np.uint64(words[2 * i + 1]))
        w2[g] += np.int64(more) + (words[2 * i + 1] >> 63)


@kernel
def merge_triple(gids: Array, o0: Array, o1: Array, o2: Array, w0: Array, w1: Array, w2: Array) -> None:
    """Merges three-word sums."""
    for i in range(len(gids)):
        g = gids[i]
        carry = _add_word(w0, g, np.uint64(o0[i]))
        more = _add_word(w1, g, carry) + _add_word(w1, g, np.uint64(o1[i]))
        w2[g] += np.int64(more) + o2[i]


@kernel
def triple_to_pairs(w0: Array, w1: Array, w2: Array, count: int, out: Array) -> int:
    """Writes three-word sums as two-word integers; returns the first group that does not fit, or -1."""
    for g in range(count):
        if w2[g] != w1[g] >> 63:
            return g
        out[2 * g] = w0[g]
        out[2 * g + 1] = w1[g]
    return -1


@kernel
def triple_to_float(w0: Array, w1: Array, w2: Array, count: int, out: Array) -> None:
    """Writes three-word sums as float64.

    The magnitude is converted and the sign put back: adding the words of a small negative sum as they are would cancel
    -2**128 against its bits and keep nothing of it.
    """
    for g in range(count):
        flip = w2[g] >> 63
        total = np.float64(w2[g] ^ flip) * 2.0**128
        total += np.float64(np.uint64(w1[g] ^ flip)) * 2.0**64 + np.float64(np.uint64(w0[g] ^ flip))
        # ~x is -x - 1.
        out[g] = total if flip == 0 else -(total + 1.0)


@kernel
def sum_float(gids: Array, values: Array, valid: Array, has_valid: bool, states: Array) -> None:
    """Adds floats one after the other, in row order."""
    for i in range(len(gids)):
        if has_valid and valid[i] == 0:
            continue
        states[gids[i]] += values[i]


@kernel
def min_state(gids: Array, values: Array, valid: Array, has_valid: bool, states: Array) -> None:
    """Keeps the smallest value; NaN counts as greater than every number."""
    for i in range(len(gids)):
        if has_valid and valid[i] == 0:
            continue
        g = gids[i]
        if values[i] < states[g] or states[g] != states[g]:
            states[g] = values[i]


@kernel
def max_state(gids: Array, values: Array, valid: Array, has_valid: bool, states: Array) -> None:
    """Keeps the greatest value; NaN counts as greater than every number."""
    for i in range(len(gids)):
        if has_valid and valid[i] == 0:
            continue
        g = gids[i]
        if values[i] > states[g] or values[i] != values[i]:
            states[g] = values[i]


@kernel
def add_moments(
    gids: Array, values: Array, valid: Array, has_valid: bool, n: Array, mean: Array, square: Array
) -> None:
    """Adds values to running moments: their number, mean, and sum of squared distances from the mean.

    Source: B. P. Welford, Note on a method for calculating corrected sums of squares and products, 1962.
    """
    for i in range(len(gids)):
        if has_valid and valid[i] == 0:
            continue
        g = gids[i]
        n[g] += 1.0
        distance = values[i] - mean[g]
        mean[g] += distance / n[g]
        square[g] += distance * (values[i] - mean[g])


@kernel
def merge_moments(
    gids: Array, o_n: Array, o_mean: Array, o_square: Array, n: Array, mean: Array, square: Array
) -> None:
    """Merges running moments, in the order given.

    Source: T. F. Chan, G. H. Golub, R. J. LeVeque, Updating formulae and a pairwise algorithm for computing sample
    variances, 1979.
    """
    for i in range(len(gids)):
        g = gids[i]
        if o_n[i] == 0.0:
            continue
        if n[g] == 0.0:
            n[g], mean[g], square[g] = o_n[i], o_mean[i], o_square[i]
            continue
        total = n[g] + o_n[i]
        distance = o_mean[i] - mean[g]
        square[g] += o_square[i] + distance * distance * (n[g] * o_n[i] / total)
        mean[g] += distance * (o_n[i] / total)
        n[g] = total
