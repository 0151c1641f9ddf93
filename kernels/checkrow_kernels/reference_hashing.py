"""Slow references of the hashes: Python integers."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any
_MASK = (1 << 64) - 1
_NULL = 0x9E3779B97F4A7C15


def mix64(x: int) -> int:
    """Mixes 64 bits (the finaliser of MurmurHash3)."""
    x = int(x)
    x ^= x >> 33
    x = x * 0xFF51AFD7ED558CCD & _MASK
    x ^= x >> 33
    x = x * 0xC4CEB9FE1A85EC53 & _MASK
    return x ^ x >> 33


def combine(h: int, word: int) -> int:
    """Returns the hash of a hash and one more word."""
    h = int(h)
    return mix64((h << 31 & _MASK | h >> 33) ^ mix64(word))


def hash_text(data: bytes) -> int:
    """Returns the hash of some bytes."""
    h = 0xCBF29CE484222325
    whole = len(data) // 8 * 8
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
    for word in (*words, int.from_bytes(data[whole:], "little")):
        h = mix64((h ^ word) * 0x100000001B3 & _MASK)
    return mix64((h ^ len(data)) * 0x100000001B3 & _MASK)


def hash_words(key: tuple[int, ...]) -> int:
    """Returns the hash of a key's words."""
    h = mix64(key[0] & _MASK)
    for word in key[1:]:
        h = combine(h, word & _MASK)
    return h


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


def float_bits(x: float) -> int:
    """Returns the bits of a float, one zero and one NaN."""
    if x != x:
        return 0x7FF8000000000000
    return int(np.float64(x + 0.0).view(np.uint64))


def hash_bytes(data: Array, start: int, stop: int) -> int:
    """Hashes one text."""
    return hash_text(data[start:stop].tobytes())
