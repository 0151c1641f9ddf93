"""Snappy's raw format, decompressed by a table of tags and without a branch for most elements.

Numbers compress to elements of four or five bytes whose kinds no branch predictor foresees. So an element of up to 16
bytes that does not run into itself, be it a literal or a copy, is one load of 16 bytes from a selected address and one
store; all others take the general way. Copies reach up to 15 bytes over the end of what they copy, in the source and
in the target alike. Every element is bounded by the block and by the declared length before anything is copied, so
nothing outside the arrays is touched, whatever the bytes are.

Source: "Snappy compressed format description", google/snappy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from checkrow_kernels.jit import ENABLED, inline_kernel
from checkrow_kernels.thrift import read_varint
from checkrow_kernels.words import load_word, store_word

Array = NDArray[Any]

CORRUPT_SNAPPY = -6

_STEP = 16
_TAG = np.uint64(0xFF)
_KIND = np.uint64(3)
_TWO = np.uint64(2)
_EIGHT = np.uint64(8)
_SIXTEEN = np.uint64(16)
_THIRTY_TWO = np.uint64(32)
_FORTY_EIGHT = np.uint64(48)
_OFFSET = np.uint64(0xFFFF)
_ONE = np.uint64(1)
_SHORT_LITERAL = 60


def _element(tag: int) -> int:
    """Returns what a tag says: length | high bits of the offset << 16 | 1 << 32 for copies | mask of its rest << 48.

    Elements for the general way only (long literals, offsets of four bytes) have length 255.
    """
    kind, upper = tag & 3, tag >> 2
    if kind == 0:
        return upper + 1 if upper < _STEP else 255
    if kind == 1:
        return 4 + (upper & 7) | (upper >> 3) << 24 | 1 << 32 | 0xFF << 48
    return upper + 1 | 1 << 32 | 0xFFFF << 48 if kind == 2 else 255


_ELEMENTS = np.array([_element(tag) for tag in range(256)], np.uint64)

# A copy from fewer than eight bytes back repeats a pattern: its bytes of a word, and by how much to step so that the
# next word begins where the pattern does.
_PATTERN_MASKS = np.array([0, *((1 << 8 * n) - 1 for n in range(1, 8))], np.uint64)
_STEPS = np.array([0, 8, 8, 6, 8, 5, 6, 7], np.int64)


@intrinsic
def _copy_selected(_typing: Any, source: Any, start: Any, target: Any, back: Any, at: Any, literal: Any) -> Any:  # noqa: ARG001
    """Stores 16 bytes of `source[start:]` (a literal) or of `target[back:]` at `target[at:]`."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def address(which: int, position: Any) -> Any:
            data = context.make_array(signature.args[which])(context, builder, args[which]).data
            return builder.bitcast(builder.gep(data, [position]), ir.IntType(128).as_pointer())

        origin = builder.select(args[5], address(0, args[1]), address(2, args[3]))
        builder.store(builder.load(origin, align=1), address(2, args[4]), align=1)
        return context.get_dummy_value()

    if not all(isinstance(a, types.Array) and a.layout == "C" and a.dtype == types.uint8 for a in (source, target)):
        return None
    return types.void(source, types.int64, target, types.int64, types.int64, types.boolean), build


def _plain_copy_selected(source: Any, start: Any, target: Any, back: Any, at: Any, literal: Any) -> None:
    target[at : at + _STEP] = (source[start : start + _STEP] if literal else target[back : back + _STEP]).copy()


copy_selected = _copy_selected if ENABLED else _plain_copy_selected


@inline_kernel
def copy_over(source: Array, start: Any, target: Array, at: Any, length: Any) -> None:
    """Copies bytes in steps of 16, up to 15 too many; within one array from at least 16 bytes back."""
    j = 0
    while j < length:
        low, high = load_word(source, start + j), load_word(source, start + j + 8)
        store_word(target, at + j, low)
        store_word(target, at + j + 8, high)
        j += 16


@inline_kernel
def _copy_near(target: Array, at: Any, offset: Any, length: Any) -> None:
    """Copies from 8 to 15 bytes back, eight at a time."""
    j = 0
    while j < length:
        store_word(target, at + j, load_word(target, at + j - offset))
        j += 8


@inline_kernel
def _repeat(target: Array, at: Any, offset: Any, length: Any) -> None:
    """Repeats the last 1 to 7 bytes."""
    which = np.uint64(offset)
    pattern = load_word(target, at - offset) & _PATTERN_MASKS[which]
    word = np.uint64(0)
    j = 0
    while j < 8:
        word |= pattern << np.uint64(8 * j)
        j += offset
    j, step = 0, _STEPS[which]
    while j < length:
        store_word(target, at + j, word)
        j += step


@inline_kernel
def _copy_back(target: Array, at: Any, offset: Any, length: Any) -> None:
    """Copies up to 64 bytes from `offset` bytes back, where the copy may run into itself."""
    if offset >= _STEP:
        copy_over(target, at - offset, target, at, length)
    elif offset >= 8:
        _copy_near(target, at, offset, length)
    else:
        _repeat(target, at, offset, length)


@inline_kernel
def _literal(source: Array, at: Any, stop: Any, target: Array, to: Any, limit: Any) -> tuple[Any, Any]:
    """Copies a literal; returns the positions after it, the first one -1 if it is cut or too long."""
    word = load_word(source, at)
    length = np.int64((word & _TAG) >> _TWO) + 1
    at += 1
    if length > _SHORT_LITERAL:
        extra = length - _SHORT_LITERAL
        length = np.int64(word >> _EIGHT & np.uint64((1 << 8 * extra) - 1)) + 1
        at += extra
    if length > stop - at or length > limit - to:
        return np.int64(-1), np.int64(to)
    copy_over(source, at, target, to, length)
    return np.int64(at + length), np.int64(to + length)


@inline_kernel
def _copy(source: Array, at: Any, stop: Any, target: Array, first: Any, to: Any, limit: Any) -> tuple[Any, Any]:
    """Copies from what is written already; returns as `_literal`."""
    word = load_word(source, at)
    upper = np.int64((word & _TAG) >> _TWO)
    kind = word & _KIND
    length, rest = upper + 1, word >> _EIGHT
    if kind == 1:
        length, offset, at = 4 + (upper & 7), np.int64(rest & np.uint64(0xFF)) + ((upper >> 3) << 8), at + 2
    elif kind == 2:
        offset, at = np.int64(rest & np.uint64(0xFFFF)), at + 3
    else:
        offset, at = np.int64(rest & np.uint64(0xFFFFFFFF)), at + 5
    if at > stop or offset == 0 or offset > to - first or length > limit - to:
        return np.int64(-1), np.int64(to)
    _copy_back(target, to, offset, length)
    return np.int64(at), np.int64(to + length)


@inline_kernel
def _short_elements(
    source: Array, at: Any, stop: Any, target: Array, first: Any, to: Any, limit: Any
) -> tuple[Any, Any]:
    """Copies elements until one is long, runs into itself, is damaged, or lies near an end; returns the positions."""
    while at < stop - _STEP and to <= limit - _STEP:
        word = load_word(source, at)
        entry = _ELEMENTS[word & _TAG]
        length = np.int64(entry & _TAG)
        offset = np.int64((word >> _EIGHT & entry >> _FORTY_EIGHT) + (entry >> _SIXTEEN & _OFFSET))
        copies = -np.int64(entry >> _THIRTY_TWO & _ONE)
        # One condition in signs, as `or` would become a branch: negative unless length <= 16 and, of copies only,
        # length <= offset <= what is written.
        if ((_STEP - length) | ((offset - length) | (to - first - offset)) & copies) < 0:
            break
        copy_selected(source, at + 1, target, to - offset, to, copies == 0)
        # Not from the table: the next tag waits for nothing but this sum, and a look-up would be half of it.
        kind = np.int64(word & _KIND)
        at += kind + 1 if kind else np.int64((word & _TAG) >> _TWO) + 2
        to += length
    return np.int64(at), np.int64(to)


@inline_kernel
def uncompress(source: Array, start: Any, stop: Any, target: Array, first: Any, size: Any) -> Any:
    """Decompresses `source[start:stop]` to `target[first:first + size]`; returns 0, or CORRUPT_SNAPPY.

    PADDING bytes follow both stretches in their arrays.
    """
    declared, at = read_varint(source, start, stop)
    if at < 0 or declared != size:
        return np.int64(CORRUPT_SNAPPY)
    to, limit = np.int64(first), np.int64(first + size)
    while at < stop:
        at, to = _short_elements(source, at, stop, target, first, to, limit)
        if at == stop:
            break
        if load_word(source, at) & _KIND == 0:
            at, to = _literal(source, at, stop, target, to, limit)
        else:
            at, to = _copy(source, at, stop, target, first, to, limit)
        if at < 0:
            return np.int64(CORRUPT_SNAPPY)
    return np.int64(0) if to == limit else np.int64(CORRUPT_SNAPPY)
