"""Slow, plain references of the methods of texts, and their rows for the table of kernels.

They are written again from what each method promises, so that neither machine code nor `text.Text` vouches for itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from checkrow_kernels.jit import inline_kernel
from checkrow_kernels.reference import hash_text
from checkrow_kernels.text import Text
from checkrow_kernels.text_methods import TEXT_METHODS

Arguments = tuple[Any, ...]
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


def _bytes(rng: np.random.Generator, most: int) -> Text:
    """Returns bytes of a small alphabet, so that stretches of them meet again."""
    return Text(rng.choice(np.frombuffer(b"ab\x00\xff", np.uint8), rng.integers(0, most + 1)).tobytes())


def _pair(rng: np.random.Generator, rows: int) -> Arguments:
    text = _bytes(rng, rows + 20)
    start = int(rng.integers(0, len(text) + 1))
    return text, text.slice(start, start + rows % 9) if rows % 2 else _bytes(rng, 3)


def _whole(rng: np.random.Generator, _rows: int) -> Arguments:
    return (Text(f"{rng.choice(['', '+', '-'])}000{rng.integers(0, 2**63)}"),)


def _decimal(rng: np.random.Generator, rows: int) -> Arguments:
    digits = "".join(str(d) for d in rng.integers(0, 10, 1 + rows))
    point = int(rng.integers(0, len(digits)))
    return (Text(f"{rng.choice(['', '-'])}{digits[:point]}.{digits[point:]}e{rng.integers(-330, 310) + rows // 2}"),)


def _cut(rng: np.random.Generator, rows: int) -> Arguments:
    return _bytes(rng, rows + 5), int(rng.integers(-9, 9)), int(rng.integers(-9, 9))


_SOURCES = {
    "to_float": "Clinger, PLDI 1990; Mushtak and Lemire, 2023",
    "hash": "FNV-1a over words, finaliser of MurmurHash3",
}
_REFERENCES: dict[str, tuple[Callable[..., Any], Callable[[np.random.Generator, int], Arguments], str]] = {
    "eq": (eq, _pair, "O(bytes)"),
    "compare": (compare, _pair, "O(bytes)"),
    "startswith": (startswith, _pair, "O(bytes of the other)"),
    "contains": (contains, _pair, "O(bytes * bytes of the other)"),
    "find": (find, _pair, "O(bytes * bytes of the other)"),
    "slice": (slice_, _cut, "O(1)"),
    "to_int": (to_int, _whole, "O(bytes)"),
    "to_float": (to_float, _decimal, "O(bytes)"),
    "hash": (hash_, lambda rng, rows: (_bytes(rng, rows),), "O(bytes)"),
}

_CALLS: dict[str, Callable[..., Any]] = {
    "eq": lambda text, other: text.eq(other),
    "compare": lambda text, other: text.compare(other),
    "startswith": lambda text, other: text.startswith(other),
    "contains": lambda text, other: text.contains(other),
    "find": lambda text, other: text.find(other),
    "slice": lambda text, start, stop: text.slice(start, stop),
    "to_int": lambda text: text.to_int(),
    "to_float": lambda text: text.to_float(),
    "hash": lambda text: text.hash(),
}
TEXT_KERNELS: tuple[dict[str, Any], ...] = tuple(
    {
        "name": f"text_{name}",
        "function": inline_kernel(_CALLS[name]),
        "reference": _REFERENCES[name][0],
        "example": _REFERENCES[name][1],
        "cost": _REFERENCES[name][2],
        "source": _SOURCES.get(name, "elementary"),
    }
    for name in TEXT_METHODS
)
"""Rows of the table of kernels, by the names of their columns."""
