"""Parquet's run-length and bit-packing hybrid, taken out a few values at a time.

A cursor is six integers in an int64 array, so that a batch may end in the middle of a run: AT (the next byte), END,
BITS (width of a value), LEFT (values left in the run), PACKED_AT (where a bit-packed run starts, or -1) and VALUE (the
value of a run-length run, or the index of the next value in a bit-packed one). AT never passes END; what a run promises
beyond END is not counted in LEFT, so every value counted is in the page.

Source: the Parquet format, "Run Length Encoding / Bit-Packing Hybrid".
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
from checkrow_kernels.words import load_half, load_word, store_word

Array = NDArray[Any]

CORRUPT_LEVELS = -7
CORRUPT_CODES = -8
CODE_OUT_OF_RANGE = -9
TOO_FEW_VALUES = -10

AT, END, BITS, LEFT, PACKED_AT, VALUE = range(6)
CURSOR = 6
MAX_BITS = 32
BLOCK = 1024
"""Codes that are unpacked at a time; few enough for the first-level cache."""
SPARE = 8
"""Entries that a block of codes has after BLOCK: packed values are written in eights."""

_LARGEST = np.int64(2**31 - 1)
_ONE = np.uint64(1)
_BYTE = np.uint64(0xFF)
_SEVEN = np.uint64(7)
_COPIES = np.uint64(0x0101010101010101)
_BIT_OF_BYTE = np.uint64(0x8040201008040201)
_CARRY = np.uint64(0x7F7F7F7F7F7F7F7F)


@intrinsic
def _store_lanes(_typing: Any, out: Any, at: Any, low: Any, high: Any, bits: Any) -> Any:  # noqa: ARG001
    """Stores four values from each of two words as eight uint32, in vector instructions."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes, halves = ir.VectorType(ir.IntType(64), 8), ir.VectorType(ir.IntType(32), 8)

        def spread(word: Any, lane_indices: list[int]) -> Any:
            pair = builder.insert_element(
                ir.Constant(ir.VectorType(ir.IntType(64), 2), ir.Undefined), word[0], ir.IntType(32)(0)
            )
            pair = builder.insert_element(pair, word[1], ir.IntType(32)(1))
            mask = ir.Constant(halves, lane_indices)
            return builder.shuffle_vector(pair, pair, mask)

        out_array, position, low_word, high_word, width = args
        widths = spread((width, width), [0] * 8)
        shifts = builder.mul(widths, ir.Constant(lanes, [0, 1, 2, 3, 0, 1, 2, 3]))
        one = ir.IntType(64)(1)
        mask = builder.sub(builder.shl(one, width), one)
        values = builder.lshr(spread((low_word, high_word), [0, 0, 0, 0, 1, 1, 1, 1]), shifts)
        values = builder.and_(values, spread((mask, mask), [0] * 8))
        data = context.make_array(signature.args[0])(context, builder, out_array).data
        target = builder.bitcast(builder.gep(data, [position]), halves.as_pointer())
        builder.store(builder.trunc(values, halves), target, align=1)
        return context.get_dummy_value()

    if not (isinstance(out, types.Array) and out.layout == "C" and out.dtype == types.uint32):
        return None
    return types.void(out, types.int64, types.uint64, types.uint64, types.uint64), build


def _plain_store_lanes(out: Any, at: Any, low: Any, high: Any, bits: Any) -> None:
    width = int(bits)
    for lane in range(8):
        word = int(high if lane >= 4 else low)
        out[at + lane] = word >> width * (lane & 3) & (1 << width) - 1


store_lanes = _store_lanes if ENABLED else _plain_store_lanes


@inline_kernel
def open_cursor(state: Array, base: Any, at: Any, end: Any, bits: Any) -> None:
    """Sets a cursor before the first run of a page's stretch."""
    state[base + AT] = at
    state[base + END] = end
    state[base + BITS] = bits
    state[base + LEFT] = 0
    state[base + PACKED_AT] = -1
    state[base + VALUE] = 0


@inline_kernel
def next_run(page: Array, state: Array, base: Any) -> Any:
    """Reads run headers until there are values; returns 0, or TOO_FEW_VALUES at the end of the stretch.

    Each header takes a byte at least, so this ends.
    """
    while state[base + LEFT] == 0:
        end, bits = state[base + END], state[base + BITS]
        header, at = read_varint(page, state[base + AT], end)
        if at < 0:
            return np.int64(TOO_FEW_VALUES)
        count = min(header >> 1, _LARGEST)
        if header & 1:
            # Some writers cut the last group at the page's end: its whole values count.
            groups = min(count, (end - at) // max(bits, 1) + 1)
            length = min(groups * bits, end - at)
            state[base + LEFT] = min(8 * groups, 8 * length // bits) if bits > 0 else 8 * count
            state[base + PACKED_AT] = at
            state[base + VALUE] = 0
        else:
            length = (bits + 7) >> 3
            if length > end - at:
                return np.int64(TOO_FEW_VALUES)
            state[base + LEFT] = count
            state[base + PACKED_AT] = -1
            state[base + VALUE] = np.int64(load_half(page, at)) & ((1 << 8 * length) - 1)
        state[base + AT] = at + length
    return np.int64(0)


@inline_kernel
def _one_packed(page: Array, start: Any, index: Any, bits: Any) -> Any:
    """Returns one value of a bit-packed run; 7 + 32 bits fit a word."""
    bit = index * bits
    word = load_word(page, start + (bit >> 3)) >> np.uint64(bit & 7)
    return np.uint32(word & ((_ONE << np.uint64(bits)) - _ONE))


@inline_kernel
def _packed_narrow(page: Array, start: Any, groups: Any, bits: Any, codes: Array, first: Any) -> None:
    """Unpacks groups of eight values of up to 16 bits; four of them lie in one word, whatever their first bit."""
    half, shift, width = bits >> 1, np.uint64(4 * bits & 7), np.uint64(bits)
    for group in range(groups):
        low = load_word(page, start)
        high = load_word(page, start + half) >> shift
        store_lanes(codes, first + 8 * group, low, high, width)
        start += bits


@inline_kernel
def _packed_wide(page: Array, start: Any, groups: Any, bits: Any, codes: Array, first: Any) -> None:
    """Unpacks groups of eight values of more than 16 bits, each from a word of its own."""
    mask = (_ONE << np.uint64(bits)) - _ONE
    for group in range(groups):
        for lane in range(8):
            bit = lane * bits
            word = load_word(page, start + (bit >> 3)) >> np.uint64(bit & 7)
            codes[np.uint64(first + 8 * group + lane)] = word & mask
        start += bits


@inline_kernel
def unpack(page: Array, start: Any, index: Any, count: Any, bits: Any, codes: Array, first: Any) -> None:
    """Writes values `index` to `index + count` of a bit-packed run to `codes[first:]`, and up to 7 entries after."""
    head = min(-index & 7, count)
    for i in range(head):
        codes[np.uint64(first + i)] = _one_packed(page, start, index + i, bits)
    groups = (count - head + 7) >> 3
    begin = start + ((index + head) >> 3) * bits
    if bits <= 16:
        _packed_narrow(page, begin, groups, bits, codes, first + head)
    else:
        _packed_wide(page, begin, groups, bits, codes, first + head)


@inline_kernel
def advance(state: Array, base: Any, count: Any) -> None:
    """Moves a cursor within its run."""
    state[base + LEFT] -= count
    if state[base + PACKED_AT] >= 0:
        state[base + VALUE] += count


@inline_kernel
def repeated(state: Array, base: Any) -> Any:
    """Returns how often the value of the run that is under way comes yet; 0 in a bit-packed run."""
    return state[base + LEFT] if state[base + PACKED_AT] < 0 else np.int64(0)


@inline_kernel
def all_below(codes: Array, count: Any, bound: Any) -> Any:
    """Returns whether all codes are below a bound."""
    top = np.uint32(0)
    for i in range(count):
        top = max(top, codes[np.uint64(i)])
    return np.int64(top) < bound


@inline_kernel
def take_codes(page: Array, state: Array, base: Any, entries: Any, codes: Array, count: Any) -> Any:
    """Writes the next `count` <= BLOCK codes; returns 0 or a status. Each is below `entries`."""
    done = np.int64(0)
    while done < count:
        status = next_run(page, state, base)
        if status < 0:
            return status
        n = min(state[base + LEFT], count - done)
        if state[base + PACKED_AT] >= 0:
            unpack(page, state[base + PACKED_AT], state[base + VALUE], n, state[base + BITS], codes, done)
        else:
            value = np.uint32(state[base + VALUE])
            for i in range(done, done + n):
                codes[np.uint64(i)] = value
        advance(state, base, n)
        done += n
    return np.int64(0) if count == 0 or all_below(codes, count, entries) else np.int64(CODE_OUT_OF_RANGE)


@inline_kernel
def _eight_flags(page: Array, at: Any) -> Any:
    """Returns a byte's eight bits as the eight bytes of a word."""
    spread = (load_word(page, at) & _BYTE) * _COPIES & _BIT_OF_BYTE
    return (spread + _CARRY) >> _SEVEN & _COPIES


@inline_kernel
def _flags(page: Array, start: Any, index: Any, count: Any, valid: Array, first: Any) -> None:
    """Writes bits `index` to `index + count` as bytes, and no more."""
    head = min(-index & 7, count)
    groups = (count - head) >> 3
    for i in range(head):
        valid[np.uint64(first + i)] = _one_packed(page, start, index + i, 1)
    at, to = start + ((index + head) >> 3), first + head
    for group in range(groups):
        store_word(valid, to + 8 * group, _eight_flags(page, at + group))
    for i in range(head + 8 * groups, count):
        valid[np.uint64(first + i)] = _one_packed(page, start, index + i, 1)


@inline_kernel
def take_levels(page: Array, state: Array, base: Any, valid: Array, first: Any, count: Any) -> Any:
    """Writes the next definition levels (0 or 1) to `valid[first:]`; returns how many are 1, or CORRUPT_LEVELS."""
    at, stop = np.int64(first), np.int64(first + count)
    while at < stop:
        if next_run(page, state, base) < 0:
            return np.int64(CORRUPT_LEVELS)
        n = min(state[base + LEFT], stop - at)
        if state[base + PACKED_AT] >= 0:
            _flags(page, state[base + PACKED_AT], state[base + VALUE], n, valid, at)
        else:
            if state[base + VALUE] > 1:
                return np.int64(CORRUPT_LEVELS)
            level = np.uint8(state[base + VALUE])
            for i in range(at, at + n):
                valid[np.uint64(i)] = level
        advance(state, base, n)
        at += n
    present = np.int64(0)
    for i in range(first, stop):
        present += valid[np.uint64(i)]
    return present
