"""Numbers that texts spell, in machine code: exact, or ValueError.

Doubles are correctly rounded. Source: W. D. Clinger, How to read floating point numbers accurately, PLDI 1990, for
short numbers; `text_doubles` for the others. O(bytes).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from checkrow_kernels.jit import inline_kernel, kernel
from checkrow_kernels.text import NOT_A_NUMBER, NOT_WHOLE
from checkrow_kernels.text_doubles import bits_of, double_of, nearer
from checkrow_kernels.text_type import size_of
from checkrow_kernels.words import load_byte

_U0, _U1, _U9, _U10 = (np.uint64(n) for n in (0, 1, 9, 10))
_MINUS, _PLUS, _POINT, _ZERO, _E, _LOWER = (np.uint64(n) for n in (*b"-+.0e", 0x20))
_INFINITY, _NAN = (np.frombuffer(w, np.uint8) for w in (b"infinity", b"nan"))
_INF_SIZE = 3
_LARGEST = np.uint64(2**63 - 1)
_DIGITS = 19
"""Significant digits that 64 bits hold."""
_EXPONENT_LIMIT = 1 << 40
_EXACT = np.array([10.0**e for e in range(23)])
_EXACT_EXPONENT = 22
_EXACT_WHOLE = np.uint64(2**53)


@inline_kernel
def to_int(text: Any) -> Any:
    """Returns the whole number a text spells."""
    size = size_of(text)
    at = 0
    negative = False
    if size > 0:
        first = load_byte(text, 0)
        negative = first == _MINUS
        if negative or first == _PLUS:
            at = 1
    if at == size:
        raise ValueError(NOT_WHOLE)
    value = _U0
    kept = 0
    while at < size:
        digit = load_byte(text, at) - _ZERO
        if digit > _U9:
            raise ValueError(NOT_WHOLE)
        kept += 1 if kept > 0 or digit > _U0 else 0
        if kept > _DIGITS:
            raise ValueError(NOT_WHOLE)
        value = value * _U10 + digit
        at += 1
    if value > _LARGEST + (_U1 if negative else _U0):
        raise ValueError(NOT_WHOLE)
    return np.int64(_U0 - value) if negative else np.int64(value)


@kernel  # compiled once and kept: inlined, it would cost every driver two seconds
def to_float(text: Any) -> Any:
    """Returns the double nearest to the number a text spells."""
    size = size_of(text)
    at = 0
    negative = False
    if size > 0:
        first = load_byte(text, 0)
        negative = first == _MINUS
        if negative or first == _PLUS:
            at = 1
    value = _word(text, at, size) if at < size and _is_letter(load_byte(text, at)) else _decimal(text, at, size)
    return -value if negative else value


@inline_kernel
def _is_letter(byte: Any) -> Any:
    return (byte | _LOWER) - np.uint64(97) <= np.uint64(25)


@inline_kernel
def _word(text: Any, at: Any, size: Any) -> Any:
    length = size - at
    if length == len(_NAN) and _spells(text, at, _NAN, length):
        return np.nan
    if (length in {_INF_SIZE, len(_INFINITY)}) and _spells(text, at, _INFINITY, length):
        return np.inf
    raise ValueError(NOT_A_NUMBER)


@inline_kernel
def _spells(text: Any, at: Any, word: Any, length: Any) -> Any:
    same = True
    for j in range(length):
        same = same and load_byte(text, at + j) | _LOWER == np.uint64(word[j])
    return same


@inline_kernel
def _decimal(text: Any, begin: Any, size: Any) -> Any:
    """Returns the number that digits spell; `whole * 10**exponent` holds the first 19 of them that count."""
    whole, kept, digits, exponent, at = _U0, 0, 0, 0, begin
    point = False
    cut = False
    while at < size:
        byte = load_byte(text, at)
        digit = byte - _ZERO
        if digit <= _U9:
            digits += 1
            if kept < _DIGITS:
                whole = whole * _U10 + digit
                kept += 1 if whole > _U0 else 0
                exponent -= 1 if point else 0
            else:
                cut = cut or digit > _U0
                exponent += 0 if point else 1
        elif byte == _POINT and not point:
            point = True
        else:
            break
        at += 1
    if digits == 0:
        raise ValueError(NOT_A_NUMBER)
    end = at
    if at < size:
        exponent += _exponent(text, at, size)
    if not cut:
        if whole <= _EXACT_WHOLE and -_EXACT_EXPONENT <= exponent <= _EXACT_EXPONENT:
            # Both numbers are exact doubles, so one operation rounds once.
            near = np.float64(whole)
            return near / _EXACT[-exponent] if exponent < 0 else near * _EXACT[exponent]
        return double_of(bits_of(whole, exponent))
    low, high = bits_of(whole, exponent), bits_of(whole + _U1, exponent)
    if low != high:
        low = nearer(text, begin, end, exponent, kept, low, high)
    return double_of(low)


@inline_kernel
def _exponent(text: Any, at: Any, size: Any) -> Any:
    """Returns the power of ten that a text ends with, from its `e` on."""
    if load_byte(text, at) | _LOWER != _E:
        raise ValueError(NOT_A_NUMBER)
    at += 1
    negative = False
    if at < size:
        sign = load_byte(text, at)
        negative = sign == _MINUS
        if negative or sign == _PLUS:
            at += 1
    if at == size:
        raise ValueError(NOT_A_NUMBER)
    value: Any = 0
    while at < size:
        digit = load_byte(text, at) - _ZERO
        if digit > _U9:
            raise ValueError(NOT_A_NUMBER)
        value = min(10 * value + np.int64(digit), _EXPONENT_LIMIT)
        at += 1
    return -value if negative else value
