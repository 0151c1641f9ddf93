"""The methods of texts in machine code: one table, from which Numba learns what a kernel may call.

They do as those of `text.Text`, which is their reference. Every one is O(bytes) or better and allocates nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, overload_method

from checkrow_kernels.hashing import hash_bytes
from checkrow_kernels.jit import inline_kernel
from checkrow_kernels.text import OUTSIDE, OUTSIDE_TEXTS
from checkrow_kernels.text_numbers import to_float, to_int
from checkrow_kernels.text_type import set_slot, size_of, slot, slots_type, text_among, text_type, texts_type, view
from checkrow_kernels.words import load_byte, load_word, same_bytes


@inline_kernel
def eq(text: Any, other: Any) -> Any:
    """Tells whether two texts have the same bytes."""
    size = size_of(text)
    return size == size_of(other) and same_bytes(text, 0, other, 0, size)


@inline_kernel
def compare(text: Any, other: Any) -> Any:
    """Returns -1, 0 or 1, by the first byte that differs, or by the lengths."""
    common = min(size_of(text), size_of(other))
    j = 0
    while j + 8 <= common and load_word(text, j) == load_word(other, j):
        j += 8
    while j < common:
        mine, theirs = load_byte(text, j), load_byte(other, j)
        if mine != theirs:
            return 1 if mine > theirs else -1
        j += 1
    return (1 if size_of(text) > common else 0) - (1 if size_of(other) > common else 0)


@inline_kernel
def startswith(text: Any, other: Any) -> Any:
    """Tells whether the first bytes are those of another text."""
    size = size_of(other)
    return size <= size_of(text) and same_bytes(text, 0, other, 0, size)


@inline_kernel
def find(text: Any, other: Any) -> Any:
    """Returns the first byte position at which another text stands, or -1."""
    size = size_of(other)
    if size == 0:
        return 0
    first = load_byte(other, 0)
    for at in range(size_of(text) - size + 1):
        if load_byte(text, at) == first and same_bytes(text, at, other, 0, size):
            return at
    return -1


@inline_kernel
def contains(text: Any, other: Any) -> Any:
    """Tells whether the bytes of another text stand somewhere in this one."""
    return find(text, other) >= 0


@inline_kernel
def _bounded(position: Any, size: Any) -> Any:
    return max(position + size, 0) if position < 0 else min(position, size)


@inline_kernel
def hash_(text: Any) -> Any:
    """Returns 64 bits that depend on the bytes alone, with a sign."""
    return np.int64(hash_bytes(text, 0, size_of(text)))


def _of_one(function: Callable[..., Any]) -> Callable[..., Any]:
    def typed(text: Any) -> Any:  # noqa: ARG001  # Numba reads the names
        def call(text: Any) -> Any:
            return function(text)

        return call

    return typed


def _of_two(function: Callable[..., Any]) -> Callable[..., Any]:
    def typed(text: Any, other: Any) -> Any:  # noqa: ARG001
        def call(text: Any, other: Any) -> Any:
            return function(text, other)

        return call if other == text_type else None

    return typed


def _slice(text: Any, start: Any, stop: Any = None) -> Any:  # noqa: ARG001
    if not isinstance(start, types.Integer):
        return None
    if stop is None or isinstance(stop, (types.NoneType, types.Omitted)):

        def to_end(text: Any, start: Any, stop: Any = None) -> Any:  # noqa: ARG001
            return view(text, _bounded(start, size_of(text)), size_of(text))

        return to_end

    def between(text: Any, start: Any, stop: Any = None) -> Any:
        first = _bounded(start, size_of(text))
        return view(text, first, max(first, _bounded(stop, size_of(text))))

    return between if isinstance(stop, types.Integer) else None


TEXT_METHODS: dict[str, Callable[..., Any]] = {
    "eq": _of_two(eq),
    "compare": _of_two(compare),
    "startswith": _of_two(startswith),
    "contains": _of_two(contains),
    "find": _of_two(find),
    "slice": _slice,
    "to_int": _of_one(to_int),
    "to_float": _of_one(to_float),
    "hash": _of_one(hash_),
}
"""What Numba makes of a method, by its name: given the types of the arguments, the code."""

for _name, _typed in TEXT_METHODS.items():
    overload_method(type(text_type), _name)(_typed)


# -- operators --------------------------------------------------------------------------------------------------------


def _compared(decide: Callable[..., Any]) -> Callable[..., Any]:
    def typed(text: Any, other: Any) -> Any:
        def call(text: Any, other: Any) -> Any:
            return decide(text, other)

        return call if text == text_type and other == text_type else None

    return typed


_OPERATORS: dict[Callable[..., Any], Callable[..., Any]] = {
    operator.eq: eq,
    operator.ne: inline_kernel(lambda a, b: not eq(a, b)),
    operator.lt: inline_kernel(lambda a, b: compare(a, b) < 0),
    operator.le: inline_kernel(lambda a, b: compare(a, b) <= 0),
    operator.gt: inline_kernel(lambda a, b: compare(a, b) > 0),
    operator.ge: inline_kernel(lambda a, b: compare(a, b) >= 0),
    operator.contains: contains,
}
for _operator, _test in _OPERATORS.items():
    overload(_operator)(_compared(_test))


@overload(len)
def _length(value):  # type: ignore[no-untyped-def]  # as Numba wants it: the names and nothing else
    def length(value):  # type: ignore[no-untyped-def]
        return size_of(value)

    return length if value in {text_type, texts_type, slots_type} else None


@overload(bool)
def _truth(value):  # type: ignore[no-untyped-def]
    return (lambda value: size_of(value) > 0) if value == text_type else None


@inline_kernel
def _byte(text: Any, index: Any) -> Any:
    at = index + size_of(text) if index < 0 else index
    if at < 0 or at >= size_of(text):
        raise IndexError(OUTSIDE)
    return np.int64(load_byte(text, at))


@inline_kernel
def _place(column: Any, index: Any) -> Any:
    at = index + size_of(column) if index < 0 else index
    if at < 0 or at >= size_of(column):
        raise IndexError(OUTSIDE_TEXTS)
    return at


@overload(operator.getitem)
def _item(value, index):  # type: ignore[no-untyped-def]
    if not isinstance(index, types.Integer):
        return None
    if value == text_type:
        return lambda value, index: _byte(value, np.int64(index))
    if value == texts_type:
        return lambda value, index: text_among(value, _place(value, np.int64(index)))
    return (lambda value, index: slot(value, _place(value, np.int64(index)))) if value == slots_type else None


@overload(operator.setitem)
def _set_item(value, index, text):  # type: ignore[no-untyped-def]
    if value == slots_type and isinstance(index, types.Integer) and text == text_type:
        return lambda value, index, text: set_slot(value, _place(value, np.int64(index)), text)
    return None
