"""Hashes of keys: the same on every machine, in every process and version.

Source: the finaliser of MurmurHash3 (A. Appleby, public domain) for 64-bit words; FNV-1a over 8-byte blocks, finished
by the same mix, for text. O(rows) and O(bytes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.jit import ENABLED, inline_kernel, kernel
from checkrow_kernels.words import load_rest, load_word

Array = NDArray[Any]
NULL_WORD = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xFF51AFD7ED558CCD)
_M2 = np.uint64(0xC4CEB9FE1A85EC53)
_S33 = np.uint64(33)
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_ROTATE = np.uint64(31)
_BACK = np.uint64(33)
_MASK = (1 << 64) - 1


def _mix64_compiled(x: Any) -> Any:
    x ^= x >> _S33
    x *= _M1
    x ^= x >> _S33
    x *= _M2
    x ^= x >> _S33
    return x


def _mix64_plain(x: Any) -> Any:
    # Python integers: NumPy scalars would warn where machine words wrap.
    v = int(x)
    v ^= v >> 33
    v = v * int(_M1) & _MASK
    v ^= v >> 33
    v = v * int(_M2) & _MASK
    v ^= v >> 33
    return np.uint64(v)


def _fold_compiled(h: Any, word: Any) -> Any:
    return (h ^ word) * _FNV_PRIME


def _fold_plain(h: Any, word: Any) -> Any:
    return np.uint64((int(h) ^ int(word)) * int(_FNV_PRIME) & _MASK)


mix64 = inline_kernel(_mix64_compiled) if ENABLED else _mix64_plain
_fold = inline_kernel(_fold_compiled) if ENABLED else _fold_plain


@inline_kernel
def combine(h: Any, word: Any) -> Any:
    """Returns the hash of a hash and one more word; the order of words matters."""
    return mix64((h << _ROTATE | h >> _BACK) ^ mix64(word))


@inline_kernel
def float_bits(x: Any) -> Any:
    """Returns a float64 as 64 bits; equal values have equal bits (one zero, one NaN)."""
    if x == 0.0:
        return np.uint64(0)
    if x != x:
        return np.uint64(0x7FF8000000000000)
    return np.float64(x).view(np.uint64)


@kernel
def hash_int64(values: Array, valid: Array, has_valid: bool, out: Array, first: bool) -> None:
    """Hashes int64 words into `out`, or combines them with what is there unless `first`; null is a word of its own."""
    for i in range(len(values)):
        word = np.uint64(values[i])
        if has_valid and valid[i] == 0:
            word = NULL_WORD
        out[i] = mix64(word) if first else combine(out[i], word)


@inline_kernel
def hash_bytes(data: Array, start: Any, stop: Any) -> Any:
    """Returns the hash of `data[start:stop]`: little-endian 8-byte words, then the rest, then the length."""
    h = _FNV_OFFSET
    i = start
    while i + 8 <= stop:
        h = mix64(_fold(h, load_word(data, i)))
        i += 8
    h = mix64(_fold(h, load_rest(data, i, stop - i)))
    return mix64(_fold(h, np.uint64(stop - start)))


@kernel
def hash_strings(offsets: Array, data: Array, valid: Array, has_valid: bool, out: Array, first: bool) -> None:
    """Hashes text into `out`, or combines it with what is there unless `first`."""
    for i in range(len(offsets) - 1):
        word = hash_bytes(data, offsets[i], offsets[i + 1])
        if has_valid and valid[i] == 0:
            word = NULL_WORD
        out[i] = mix64(word) if first else combine(out[i], word)
