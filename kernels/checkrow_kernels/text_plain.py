"""What `text_rows` offers, as plain Python: for drivers that run interpreted, where a view is a `text.Text`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.text import Text, Texts, TextSlots

Array = NDArray[Any]
EMPTY = Text(b"")


def text_between(data: Array, start: int, stop: int) -> Text:
    """Returns the text `data[start:stop]`."""
    return Text(data[start:stop].tobytes())


def texts_at(starts: Array, stops: Array, data: Array, first: int, last: int) -> Texts:
    """Returns the texts of the rows from `first` to before `last`, given where each starts and stops in `data`."""
    return Texts([data[starts[row] : stops[row]].tobytes() for row in range(first, last)])


def slots_at(_addresses: Array, _lengths: Array, first: int, last: int) -> TextSlots:
    """Returns where a kernel may write the texts of the rows from `first` to before `last`."""
    return TextSlots(last - first)


def room_of(data: Array) -> Array:
    """Returns an array of bytes as `put_text` takes it."""
    return data


def put_text(text: Text, room: Array, at: int) -> int:
    """Copies a text to a position; returns the one behind it, or -1 where it does not fit."""
    size = len(text)
    if at + size > len(room):
        return -1
    room[at : at + size] = np.frombuffer(text.data, np.uint8)
    return at + size


def is_utf8(text: Text) -> bool:
    """Tells whether the bytes of a text are UTF-8."""
    try:
        text.data.decode()
    except UnicodeDecodeError:
        return False
    return True


def returned_text(value: Any) -> Text:
    """Returns what a kernel gave as a text; raises TypeError if it is none."""
    if not isinstance(value, Text):
        raise TypeError(f"returned {type(value).__name__} where a text was declared")
    return value
