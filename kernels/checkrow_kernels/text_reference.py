"""Slow, plain references of the methods of texts.

They are written again from what each method promises, so that neither machine code nor `text.Text` vouches for itself.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from checkrow_kernels.reference_hashing import hash_text
from checkrow_kernels.text import Text

_OVERFLOW = Fraction(2**1024 - 2**970)
"""The middle of the greatest double and the one that would follow it."""


def eq(text: Text, other: Text) -> bool:
    """Compares byte by byte."""
    return list(text.data) == list(other.data)


def compare(text: Text, other: Text) -> int:
    """Looks for the first byte that differs."""
    for a, b in zip(text.data, other.data, strict=False):
        if a != b:
            return 1 if a > b else -1
    return int(np.sign(len(text.data) - len(other.data)))


def startswith(text: Text, other: Text) -> bool:
    """Compares the first bytes."""
    return text.data[: len(other.data)] == other.data


def find(text: Text, other: Text) -> int:
    """Tries every position."""
    places = range(len(text.data) - len(other.data) + 1)
    return next((i for i in places if text.data[i : i + len(other.data)] == other.data), -1)


def contains(text: Text, other: Text) -> bool:
    """Tries every position."""
    return find(text, other) >= 0


def slice_(text: Text, start: int, stop: int) -> Text:
    """Picks byte by byte."""
    return Text(bytes(text.data[i] for i in range(len(text.data))[start:stop]))


def to_int(text: Text) -> int:
    """Reads digit by digit."""
    value = 0
    for byte in text.data.lstrip(b"+-"):
        value = 10 * value + byte - ord("0")
    return -value if text.data.startswith(b"-") else value


def to_float(text: Text) -> float:
    """Takes the fraction that the digits spell to the nearest double."""
    digits, _, power = text.data.decode().lower().lstrip("+-").partition("e")
    whole, _, part = digits.partition(".")
    exact = Fraction(int(whole + part)) * Fraction(10) ** (int(power or 0) - len(part))
    value = math.inf if exact >= _OVERFLOW else float(exact)
    return -value if text.data.startswith(b"-") else value


def hash_(text: Text) -> int:
    """Hashes word by word."""
    return int(np.array([hash_text(text.data)], np.uint64).view(np.int64)[0])
