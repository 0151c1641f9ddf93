"""Texts at the edges of drivers: read from columns, checked, and copied out into offsets and bytes.

`text_plain` offers the same names to drivers that run interpreted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import intrinsic, overload

from checkrow_kernels.jit import inline_kernel
from checkrow_kernels.text import Text
from checkrow_kernels.text_type import made_text, size_of, slots_between, text_type, texts_between, view
from checkrow_kernels.words import load_byte, load_half, load_word, store_byte, store_half, store_word

EMPTY = Text(b"")
_NOT_ASCII = np.uint64(0x8080808080808080)
_HIGH, _TAIL_BITS, _TAIL = np.uint64(0x80), np.uint64(0xC0), np.uint64(0x80)


text_between = view
"""Returns the text `data[start:stop]`."""
texts_at = texts_between
"""Returns the texts of the rows from `first` to before `last`, given where each starts and stops in `data`."""
slots_at = slots_between
"""Returns where a kernel may write the texts of the rows from `first` to before `last`."""


@intrinsic
def room_of(_typing: Any, data: Any) -> Any:
    """Returns an array of bytes as `put_text` takes it: arrays that a function is given are counted, row by row."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return made_text(context, builder, array.data, array.nitems)

    return text_type(data), build


@inline_kernel
def put_text(text: Any, room: Any, at: Any) -> Any:
    """Copies a text to a position; returns the one behind it, or -1 where it does not fit."""
    size = size_of(text)
    if at + size > size_of(room):
        return -1
    _copy(text, room, at, size)
    return at + size


@inline_kernel
def _copy(text: Any, room: Any, at: Any, size: Any) -> None:
    """Copies all bytes of a text; the last word may repeat bytes already copied, cheaper than a loop over the rest."""
    if size >= 8:
        for j in range(0, size - 7, 8):
            store_word(room, at + j, load_word(text, j))
        store_word(room, at + size - 8, load_word(text, size - 8))
    elif size >= 4:
        store_half(room, at, load_half(text, 0))
        store_half(room, at + size - 4, load_half(text, size - 4))
    else:
        for j in range(size):
            store_byte(room, at + j, load_byte(text, j))


@inline_kernel
def is_utf8(text: Any) -> Any:
    """Tells whether the bytes of a text are UTF-8."""
    size = size_of(text)
    at = 0
    while at < size:
        if at + 8 <= size and load_word(text, at) & _NOT_ASCII == 0:
            at += 8
            continue
        width = _width(text, at, size)
        if width == 0:
            return False
        at += width
    return True


@inline_kernel
def _width(text: Any, at: Any, size: Any) -> Any:
    """Returns how many bytes the code point at a position takes, or 0 if none stands there (Unicode, table 3-7)."""
    first = load_byte(text, at)
    if first < 0x80:
        return 1
    if first < 0xC2 or first > 0xF4:
        return 0
    width = 2 if first < 0xE0 else (3 if first < 0xF0 else 4)
    if at + width > size:
        return 0
    for j in range(1, width):
        if load_byte(text, at + j) & _TAIL_BITS != _TAIL:
            return 0
    second = load_byte(text, at + 1)
    overlong = (first == 0xE0 and second < 0xA0) or (first == 0xF0 and second < 0x90)
    beyond = (first == 0xED and second > 0x9F) or (first == 0xF4 and second > 0x8F)
    return 0 if overlong or beyond else width


def _as_text(value: Any) -> Any:
    raise NotImplementedError("machine code only")


@overload(_as_text)
def _typed(value):  # type: ignore[no-untyped-def]  # as Numba wants it: the names and nothing else
    # Another type is refused once it is known which kernel it came from: here it only has to compile.
    if value == text_type:
        return lambda value: value
    return lambda value: EMPTY  # noqa: ARG005


@inline_kernel
def returned_text(value: Any) -> Any:
    """Returns what a kernel gave as a text."""
    return _as_text(value)
