"""Arrow's bitmaps and two-word decimals, to and from the engine's column form."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from checkrow_kernels.jit import kernel

Array = NDArray[Any]


@kernel
def unpack_bits(bitmap: Array, offset: int, rows: int, out: Array) -> None:
    """Writes bits `offset` to `offset + rows` (least significant first) as bytes 0 or 1."""
    head = min(rows, -offset & 7)
    for i in range(head):
        out[i] = (bitmap[(offset + i) >> 3] >> ((offset + i) & 7)) & 1
    first = (offset + head) >> 3
    whole = (rows - head) >> 3
    for b in range(whole):
        byte = bitmap[first + b]
        for j in range(8):
            out[head + 8 * b + j] = (byte >> j) & 1
    for i in range(head + 8 * whole, rows):
        out[i] = (bitmap[(offset + i) >> 3] >> ((offset + i) & 7)) & 1


@kernel
def pack_bits(mask: Array, rows: int, out: Array) -> None:
    """Writes a bit per row, set where `mask` is not 0; the bits after the last row of its byte are 0."""
    whole = rows >> 3
    for b in range(whole):
        byte = 0
        for j in range(8):
            byte |= (mask[8 * b + j] != 0) << j
        out[b] = byte
    if rows & 7:
        byte = 0
        for j in range(rows & 7):
            byte |= (mask[8 * whole + j] != 0) << j
        out[whole] = byte


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
