"""Small summaries of large groups: registers that tell how many distinct values there are, and coarse values.

Both are cut-independent: a summary of many rows is the same however the rows were split. Sources: P. Flajolet et al.,
HyperLogLog, 2007; O. Ertl, New cardinality estimation algorithms for HyperLogLog sketches, arXiv:1702.01284, 2017,
algorithm 6 with sigma and tau; buckets of floats by their leading bits as in HdrHistogram (G. Tene).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.hashing import float_bits, mix64
from checkrow_kernels.jit import inline_kernel, kernel

Array = NDArray[Any]
REGISTER_BITS = 12
REGISTERS = 1 << REGISTER_BITS
MOST_RANK = 64 - REGISTER_BITS + 1
"""Ranks go from 1 to this."""
_TOP = np.uint64(64 - REGISTER_BITS)
_SHIFT = np.uint64(REGISTER_BITS)
_ONE = np.uint64(1)
_SENTINEL = np.uint64(1 << (REGISTER_BITS - 1))
_HIGHEST = np.uint64(1 << 63)
_KEPT_BITS = 11
_HALF = np.uint64(1 << (51 - _KEPT_BITS))
_CUT = ~np.uint64((1 << (52 - _KEPT_BITS)) - 1)
_ALPHA = 0.5 / math.log(2.0)


@inline_kernel
def register_of(h: Any) -> Any:
    """Returns the register a hash belongs to: its leading bits."""
    return np.int16(h >> _TOP)


@inline_kernel
def rank_of(h: Any) -> Any:
    """Returns where the first set bit after the register's stands, from 1."""
    rest = (h << _SHIFT) | _SENTINEL
    rank = 1
    while rest & _HIGHEST == 0:
        rest <<= _ONE
        rank += 1
    return np.int8(rank)


@inline_kernel
def hash_of_int(x: Any) -> Any:
    """Returns the hash of an integer."""
    return mix64(np.uint64(x))


@inline_kernel
def hash_of_float(x: Any) -> Any:
    """Returns the hash of a float; equal values have equal hashes."""
    return mix64(float_bits(x))


@inline_kernel
def coarse(x: Any) -> Any:
    """Returns a float rounded to 12 significant bits: at most 2**-12 of it away, exact for integers below 4,096.

    Subnormals are rounded to multiples of 2**-1033, the step of the least normal numbers.
    """
    if x != x or math.isinf(x):
        return x
    bits = np.float64(x).view(np.uint64)
    near = np.uint64((bits + _HALF) & _CUT).view(np.float64)
    # Beyond the greatest float there is only infinity: what would round to it is cut instead.
    return np.uint64(bits & _CUT).view(np.float64) if math.isinf(near) else near


@kernel
def registers(hashes: Array, out: Array) -> None:
    """Writes the register of every hash."""
    for i in range(len(hashes)):
        out[i] = register_of(hashes[i])


@kernel
def ranks(hashes: Array, out: Array) -> None:
    """Writes the rank of every hash."""
    for i in range(len(hashes)):
        out[i] = rank_of(hashes[i])


@kernel
def coarse_values(values: Array, out: Array) -> None:
    """Writes every float rounded to 12 significant bits."""
    for i in range(len(values)):
        out[i] = coarse(values[i])


@inline_kernel
def _sigma(x: float) -> float:
    """Returns x + sum of x**(2**k) * 2**(k-1) for k from 1: what empty registers weigh."""
    if x == 1.0:
        return math.inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x *= x
        before = z
        z += x * y
        y += y
    return z


@inline_kernel
def _tau(x: float) -> float:
    """Returns (1 - x - sum of (1 - x**(2**-k))**2 * 2**-k for k from 1) / 3: what full registers weigh."""
    if x in (0.0, 1.0):
        return 0.0
    y, z, before = 1.0, 1.0 - x, -1.0
    while z != before:
        x = math.sqrt(x)
        before = z
        y *= 0.5
        z -= (1.0 - x) ** 2 * y
    return z / 3.0


@kernel
def estimate_distinct(starts: Array, largest: Array, out: Array) -> None:
    """Writes per group how many distinct values its registers speak of; the standard error is 1.6 %.

    Parameters
    ----------
    starts : ndarray, shape (groups + 1,), int64
        Where the registers of each group begin; registers that saw nothing are left out.
    largest : ndarray, int64
        The greatest rank of every register.
    out : ndarray, shape (groups,), int64
    """
    count = np.empty(MOST_RANK + 1, np.int64)
    for g in range(len(starts) - 1):
        count[:] = 0
        for i in range(starts[g], starts[g + 1]):
            count[largest[i]] += 1
        count[0] = REGISTERS - (starts[g + 1] - starts[g])
        z = REGISTERS * _tau(1.0 - count[MOST_RANK] / REGISTERS)
        for rank in range(MOST_RANK - 1, 0, -1):
            z = 0.5 * (z + count[rank])
        z += REGISTERS * _sigma(count[0] / REGISTERS)
        out[g] = np.int64(np.rint(_ALPHA * REGISTERS * REGISTERS / z))


@kernel
def weighted_quantiles(starts: Array, values: Array, weights: Array, share: float, out: Array) -> None:
    """Writes per group the value below which a share of its values lies, interpolated between neighbours.

    Parameters
    ----------
    starts : ndarray, shape (groups + 1,), int64
        Where the values of each group begin; 0 is written for a group without values.
    values : ndarray, float64
        Distinct values, ascending within each group; NaN is the greatest.
    weights : ndarray, int64
        How often each value occurs.
    share : float
        From 0 to 1.
    out : ndarray, shape (groups,), float64
    """
    for g in range(len(starts) - 1):
        total = np.int64(0)
        for i in range(starts[g], starts[g + 1]):
            total += weights[i]
        out[g] = 0.0
        if total == 0:
            continue
        place = (total - 1) * share
        lower = np.int64(math.floor(place))
        i = starts[g]
        upto = weights[i]
        while upto <= lower:
            i += 1
            upto += weights[i]
        value = values[i]
        part = place - lower
        # An infinite lower neighbour stays: between it and any other value there is nothing to interpolate.
        if part > 0.0 and upto == lower + 1 and not math.isinf(value):
            value = value * (1.0 - part) + values[i + 1] * part
        out[g] = value
