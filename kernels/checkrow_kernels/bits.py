"""Arrow's bitmaps and two-word decimals, to and from the engine's column form."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from checkrow_kernels.jit import kernel

Array = NDArray[Any]


@kernel
def unpack_bits(bitmap: Array, offset: int, rows: int, out: Array) -> None:
    """Writes bits `offset` to `offset + rows` (least significant first) as bytes 0 or 1."""
    for i in range(rows):
        j = offset + i
        out[i] = (bitmap[j >> 3] >> (j & 7)) & 1


@kernel
def pack_bits(mask: Array, rows: int, out: Array) -> None:
    """Sets the bits of `out` (zeroed by the caller) where `mask` is not 0."""
    for i in range(rows):
        if mask[i] != 0:
            out[i >> 3] |= 1 << (i & 7)


@kernel
def low_words(words: Array, rows: int, out: Array) -> int:
    """Writes the low words of two-word integers; returns 1 if every value fits its low word, else 0."""
    wrong = 0
    for i in range(rows):
        low = words[2 * i]
        out[i] = low
        wrong |= words[2 * i + 1] ^ (low >> 63)
    return 0 if wrong else 1


@kernel
def widen(values: Array, out: Array) -> None:
    """Writes one-word integers as two words."""
    for i in range(len(values)):
        out[2 * i] = values[i]
        out[2 * i + 1] = values[i] >> 63
