"""Unaligned machine words of byte arrays and texts: eight, four or one in one load or store.

A loop over single bytes costs a load, a test for a negative index and a store each; texts are hashed, compared and
copied in words instead. Nothing here reads or writes outside the stretch it is given. Words are little-endian, as on
every machine that Numba compiles for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from checkrow_kernels.jit import ENABLED, inline_kernel
from checkrow_kernels.text_type import text_pointer, text_type

Array = NDArray[Any]


def _flat(data: Any, at: Any) -> bool:
    # A strided view has no next byte at the next address: refused while compiling.
    flat = data == text_type or (isinstance(data, types.Array) and data.layout == "C")
    return flat and isinstance(at, types.Integer)


def _address(context: Any, builder: Any, kind: Any, value: Any, at: Any, word: Any) -> Any:
    if kind == text_type:
        data = text_pointer(context, builder, value)
    else:
        data = context.make_array(kind)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [at]), word.as_pointer())


def _loader(word_type: Any) -> Any:
    @intrinsic
    def load(_typing: Any, data: Any, at: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            word = context.get_value_type(word_type)
            value = builder.load(_address(context, builder, signature.args[0], args[0], args[1], word), align=1)
            return context.cast(builder, value, word_type, types.uint64)

        return (types.uint64(data, types.int64), build) if _flat(data, at) else None

    return load


def _storer(word_type: Any) -> Any:
    @intrinsic
    def store(_typing: Any, data: Any, at: Any, _value: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            word = context.get_value_type(word_type)
            narrow = context.cast(builder, args[2], types.uint64, word_type)
            builder.store(narrow, _address(context, builder, signature.args[0], args[0], args[1], word), align=1)
            return context.get_dummy_value()

        return (types.void(data, types.int64, types.uint64), build) if _flat(data, at) else None

    return store


def _plain_load(width_bytes: int) -> Any:
    def load(data: Any, at: Any) -> Any:
        return np.uint64(int.from_bytes(data[at : at + width_bytes].tobytes(), "little"))

    return load


def _plain_store(width_bytes: int) -> Any:
    def store(data: Any, at: Any, value: Any) -> None:
        data[at : at + width_bytes] = np.frombuffer(int(value).to_bytes(8, "little"), np.uint8, width_bytes)

    return store


load_word = _loader(types.uint64) if ENABLED else _plain_load(8)
load_half = _loader(types.uint32) if ENABLED else _plain_load(4)
load_byte = _loader(types.uint8) if ENABLED else _plain_load(1)
store_word = _storer(types.uint64) if ENABLED else _plain_store(8)
store_half = _storer(types.uint32) if ENABLED else _plain_store(4)
store_byte = _storer(types.uint8) if ENABLED else _plain_store(1)


@inline_kernel
def load_rest(data: Array, start: Any, length: Any) -> Any:
    """Returns fewer than eight bytes as a word; the bytes that are not there are 0.

    Two overlapping loads instead of a loop; bytes loaded twice are equal and OR to themselves.
    """
    if length >= 4:
        lower = load_half(data, start)
        upper = load_half(data, start + length - 4)
        return lower | upper << np.uint64(8 * (length - 4))
    if length <= 0:
        return np.uint64(0)
    middle = length >> 1
    return (
        load_byte(data, start)
        | load_byte(data, start + middle) << np.uint64(8 * middle)
        | load_byte(data, start + length - 1) << np.uint64(8 * (length - 1))
    )


@inline_kernel
def copy_bytes(source: Array, start: Any, target: Array, at: Any, length: Any) -> None:
    """Copies bytes between two arrays that do not overlap."""
    if length < 8:
        for j in range(length):
            target[at + j] = source[start + j]
        return
    j = 0
    while j + 8 <= length:
        store_word(target, at + j, load_word(source, start + j))
        j += 8
    # The last word may repeat bytes already copied: cheaper than a loop over the rest.
    store_word(target, at + length - 8, load_word(source, start + length - 8))


@inline_kernel
def same_bytes(left: Array, start: Any, right: Array, at: Any, length: Any) -> Any:
    """Returns whether two stretches of bytes are equal."""
    if length < 8:
        return load_rest(left, start, length) == load_rest(right, at, length)
    j = 0
    while j + 8 <= length:
        if load_word(left, start + j) != load_word(right, at + j):
            return False
        j += 8
    return load_word(left, start + length - 8) == load_word(right, at + length - 8)
