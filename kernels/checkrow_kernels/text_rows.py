"""Texts at the edges of drivers: read from columns, checked, and copied out into offsets and bytes.

Interpreted drivers call the same names; there a view is a `text.Text`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import intrinsic, overload

from checkrow_kernels.jit import ENABLED, inline_kernel
from checkrow_kernels.text import Text, Texts, TextSlots
from checkrow_kernels.text_type import made_text, size_of, slots_between, text_type, texts_between, view
from checkrow_kernels.words import load_byte, load_half, load_word, store_byte, store_half, store_word

EMPTY = Text(b"")
_NOT_ASCII = np.uint64(0x8080808080808080)
_HIGH, _TAIL_BITS, _TAIL = np.uint64(0x80), np.uint64(0xC0), np.uint64(0x80)


@intrinsic
def _room_compiled(_typing: Any, data: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return made_text(context, builder, array.data, array.nitems)

    return text_type(data), build


def _room_plain(data: Any) -> Any:
    return data


def _view_plain(data: Any, start: Any, stop: Any) -> Any:
    return Text(data[start:stop].tobytes())


def _texts_plain(starts: Any, stops: Any, data: Any, first: Any, last: Any) -> Any:
    return Texts([data[starts[row] : stops[row]].tobytes() for row in range(first, last)])


def _slots_plain(_addresses: Any, _lengths: Any, first: Any, last: Any) -> Any:
    return TextSlots(last - first)


def _put_compiled(text: Any, room: Any, at: Any) -> Any:
    size = size_of(text)
    if at + size > size_of(room):
        return -1
    _copy(text, room, at, size)
    return at + size


def _put_plain(text: Any, room: Any, at: Any) -> Any:
    size = len(text)
    if at + size > len(room):
        return -1
    room[at : at + size] = np.frombuffer(text.data, np.uint8)
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


def _is_utf8_compiled(text: Any) -> Any:
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


def _is_utf8_plain(text: Any) -> Any:
    try:
        text.data.decode()
    except UnicodeDecodeError:
        return False
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


def _returned_plain(value: Any) -> Any:
    """Returns what a kernel gave as a text; raises TypeError if it is none."""
    if not isinstance(value, Text):
        raise TypeError(f"returned {type(value).__name__} where a text was declared")
    return value


@overload(_returned_plain)
def _returned(value):  # type: ignore[no-untyped-def]  # as Numba wants it: the names and nothing else
    # Another type is refused once it is known which kernel it came from: here it only has to compile.
    if value == text_type:
        return lambda value: value
    return lambda value: EMPTY  # noqa: ARG005


def _returned_compiled(value: Any) -> Any:
    return _returned_plain(value)


def _function(compiled: Any, plain: Any) -> Any:
    return inline_kernel(compiled) if ENABLED else plain


text_between = view if ENABLED else _view_plain
"""Returns the text `data[start:stop]`."""
texts_at = texts_between if ENABLED else _texts_plain
"""Returns the texts of the rows from `first` to before `last`, given where each starts and stops in `data`."""
slots_at = slots_between if ENABLED else _slots_plain
"""Returns where a kernel may write the texts of the rows from `first` to before `last`."""
room_of = _room_compiled if ENABLED else _room_plain
"""Returns an array of bytes as `put_text` takes it: arrays that a function is given are counted, row by row."""
put_text = _function(_put_compiled, _put_plain)
"""Copies a text to a position; returns the one behind it, or -1 where it does not fit."""
is_utf8 = _function(_is_utf8_compiled, _is_utf8_plain)
"""Tells whether the bytes of a text are UTF-8."""
returned_text = _function(_returned_compiled, _returned_plain)
"""Returns what a kernel gave as a text."""
