"""Decimal numbers as the nearest doubles, in machine code.

Sources: N. Mushtak and D. Lemire, Fast number parsing without fallback, 2023, for up to 19 digits; for longer numbers
that lie near the middle of two doubles, a comparison of whole numbers, which alone allocates. O(1), O(bytes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from checkrow_kernels.jit import inline_kernel
from checkrow_kernels.words import load_byte

_U0, _U1, _U9, _U10 = (np.uint64(n) for n in (0, 1, 9, 10))
_ZERO = np.uint64(ord("0"))
_LOWEST, _HIGHEST = -342, 308
"""Powers of ten below which 19 digits make 0, and above which one makes infinity."""
_FRACTION_BITS = np.uint64(52)
_HIDDEN = np.uint64(1 << 52)
_INFINITE = np.uint64(0x7FF << 52)
_PRECISION_MASK = np.uint64(2**64 - 1 >> 55)
_LIMBS = 256
_LOW_HALF = np.uint64(2**32 - 1)
_EXACT_DIGITS = 800
"""Digits that can tell a number from the middle of two doubles (at most 768); what follows only matters as not zero."""


def _power_of_five(exponent: int) -> int:
    """Returns the 128 leading bits of a power of five, cut off; of a fraction, cut off and plus one."""
    power: int = 5 ** abs(exponent)
    if exponent >= 0:
        return power << 128 - power.bit_length() if power.bit_length() <= 128 else power >> power.bit_length() - 128
    bits = (power - 1).bit_length()
    found = (1 << (bits + 127 if exponent >= -27 else 2 * bits + 128)) // power + 1
    return found >> max(0, found.bit_length() - 128)


_POWERS = np.array(
    [[p >> 64, p & 2**64 - 1] for p in map(_power_of_five, range(_LOWEST, _HIGHEST + 1))], np.uint64
)  # fmt: skip


@intrinsic
def _high_product(_typing: Any, _a: Any, _b: Any) -> Any:
    """Returns the upper 64 of the 128 bits of a product."""

    def build(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(v, wide) for v in args))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), build


@intrinsic
def _leading_zeros(_typing: Any, _word: Any) -> Any:
    """Returns how many bits stand before the first 1 of a word that is not 0."""

    def build(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), build


@intrinsic
def double_of(_typing: Any, _bits: Any) -> Any:
    """Returns the double that 64 bits stand for."""

    def build(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.uint64), build


@inline_kernel
def bits_of(whole: Any, exponent: Any) -> Any:
    """Returns the bits of the double nearest to `whole * 10**exponent`."""
    if whole == _U0 or exponent < _LOWEST:
        return _U0
    if exponent > _HIGHEST:
        return _INFINITE
    zeros = _leading_zeros(whole)
    word = whole << np.uint64(zeros)
    row = exponent - _LOWEST
    upper, lower = _high_product(word, _POWERS[row, 0]), word * _POWERS[row, 0]
    if upper & _PRECISION_MASK == _PRECISION_MASK:
        more = _high_product(word, _POWERS[row, 1])
        lower += more
        upper += _U1 if more > lower else _U0
    top = upper >> np.uint64(63)
    shift = top + np.uint64(9)
    fraction = upper >> shift
    # 217706 / 2**16 is log2(10): the power of two of 10**exponent.
    power = ((217706 * exponent) >> 16) + 63 + np.int64(top) - zeros + 1023
    if power <= 0:
        if power <= -63:
            return _U0
        fraction >>= np.uint64(1 - power)
        return (fraction + (fraction & _U1)) >> _U1
    # Exactly in the middle of two doubles: to the even one.
    if lower <= _U1 and -4 <= exponent <= 23 and fraction & np.uint64(3) == _U1 and fraction << shift == upper:
        fraction -= _U1
    fraction = (fraction + (fraction & _U1)) >> _U1
    if fraction >= _HIDDEN + _HIDDEN:
        fraction >>= _U1
        power += 1
    if power >= 0x7FF:
        return _INFINITE
    return (np.uint64(power) << _FRACTION_BITS) | (fraction & (_HIDDEN - _U1))


# -- the middle of two doubles ----------------------------------------------------------------------------------------


@inline_kernel
def nearer(text: Any, begin: Any, end: Any, exponent: Any, kept: Any, low: Any, high: Any) -> Any:
    """Returns the nearer of two neighbouring doubles, given as bits, to the number all digits of a text spell."""
    mine, theirs = np.zeros(_LIMBS, np.uint32), np.zeros(_LIMBS, np.uint32)
    taken = 0
    rest = False
    for at in range(begin, end):
        digit = load_byte(text, at) - _ZERO
        if digit <= _U9 and (taken > 0 or digit > _U0):
            if taken < _EXACT_DIGITS:
                _multiply(mine, _U10, digit)
                taken += 1
            else:
                rest = rest or digit > _U0
    if rest:
        _multiply(mine, _U10, _U1)
        taken += 1
    ten = exponent + kept - taken
    field: Any = np.int64(low >> _FRACTION_BITS)
    fraction = low & (_HIDDEN - _U1)
    middle = ((fraction | _HIDDEN if field > 0 else fraction) << _U1) + _U1
    two = max(field, 1) - 1076
    _multiply(theirs, _U1, middle >> np.uint64(32))
    _shift(theirs, 32)
    _multiply(theirs, _U1, middle & _LOW_HALF)
    # mine * 10**ten against theirs * 2**two, both brought to whole numbers.
    for _ in range(abs(ten)):
        _multiply(mine if ten > 0 else theirs, np.uint64(5), _U0)
    if ten > two:
        _shift(mine, ten - two)
    else:
        _shift(theirs, two - ten)
    for j in range(_LIMBS - 1, -1, -1):
        if mine[j] != theirs[j]:
            return high if mine[j] > theirs[j] else low
    return high if low & _U1 else low


@inline_kernel
def _multiply(limbs: Any, factor: Any, more: Any) -> None:
    """Multiplies a whole number in 32-bit limbs, lowest first, and adds to it."""
    carry = more
    for j in range(_LIMBS):
        carry += np.uint64(limbs[j]) * factor
        limbs[j] = np.uint32(carry & _LOW_HALF)
        carry >>= np.uint64(32)


@inline_kernel
def _shift(limbs: Any, bits: Any) -> None:
    """Multiplies a whole number by a power of two."""
    words = bits >> 5
    left = np.uint64(bits & 31)
    for j in range(_LIMBS - 1, -1, -1):
        pair = _U0
        if j >= words:
            pair = np.uint64(limbs[j - words]) << np.uint64(32)
        if j > words:
            pair |= np.uint64(limbs[j - words - 1])
        limbs[j] = np.uint32(pair >> (np.uint64(32) - left) & _LOW_HALF)
