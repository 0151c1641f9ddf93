"""Values of a fixed-width column, or codes of a text column, decoded a batch at a time into an array of the caller.

The invariant: every load from the dictionary is of a code that `take_codes` found below its length, every store within
the rows that were asked for, and nulls are written as 0, of codes as -1.

Outputs and dictionaries are seen as bytes (`array.view(np.uint8)`), so that the reader has one signature.

Source: the Parquet format, "Encodings".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.jit import inline_kernel, kernel
from checkrow_kernels.page_bodies import open_page
from checkrow_kernels.page_state import (
    CODES,
    EIGHT_BYTES,
    ENTRIES,
    FORM,
    LEVEL_CURSOR,
    NEXT_ROW,
    NULLS,
    OPTIONAL,
    PAGE_ENCODING,
    PLAIN,
    ROWS_LEFT,
    TEXTS,
    UNSUPPORTED_ENCODING,
    VALUE_CURSOR,
    WIDENED,
    consistent,
    width,
)
from checkrow_kernels.rle import (
    AT,
    BLOCK,
    CODE_OUT_OF_RANGE,
    END,
    TOO_FEW_VALUES,
    VALUE,
    advance,
    repeated,
    take_codes,
    take_levels,
)
from checkrow_kernels.thrift import BAD_ARGUMENT
from checkrow_kernels.words import load_half, load_word, store_half, store_word

Array = NDArray[Any]

_LONG_RUN = 512
"""From here on a run of one value is filled in; shorter ones are codes among codes."""
_NULL_CODE = np.uint64(0xFFFFFFFF)
_ZERO = np.uint64(0)


@inline_kernel
def _copy_plain(page: Array, at: Any, form: Any, out: Array, row: Any, count: Any) -> None:
    """Copies plain values to rows of the output."""
    if form == EIGHT_BYTES:
        for i in range(count):
            store_word(out, 8 * (row + i), load_word(page, at + 8 * i))
    elif form == WIDENED:
        for i in range(count):
            value = np.int64(load_half(page, at + 4 * i))
            store_word(out, 8 * (row + i), np.uint64((value ^ 0x80000000) - 0x80000000))
    else:
        for i in range(count):
            store_half(out, 4 * (row + i), load_half(page, at + 4 * i))


@inline_kernel
def take_plain(page: Array, state: Array, out: Array, row: Any, count: Any) -> Any:
    """Writes the next plain values; returns 0 or TOO_FEW_VALUES."""
    at = state[VALUE_CURSOR + AT]
    length = count * (8 if state[FORM] == EIGHT_BYTES else 4)
    if length > state[VALUE_CURSOR + END] - at:
        return np.int64(TOO_FEW_VALUES)
    _copy_plain(page, at, state[FORM], out, row, count)
    state[VALUE_CURSOR + AT] = at + length
    return np.int64(0)


@inline_kernel
def _look_up(dictionary: Array, codes: Array, form: Any, out: Array, row: Any, count: Any) -> None:
    """Writes the values of codes."""
    if width(form) == 8:
        for i in range(count):
            store_word(out, 8 * (row + i), load_word(dictionary, 8 * np.int64(codes[np.uint64(i)])))
    else:
        for i in range(count):
            store_half(out, 4 * (row + i), load_half(dictionary, 4 * np.int64(codes[np.uint64(i)])))


@inline_kernel
def _fill(form: Any, value: Any, out: Array, row: Any, count: Any) -> None:
    """Writes one value to many rows."""
    if width(form) == 8:
        for i in range(row, row + count):
            store_word(out, 8 * i, value)
    else:
        for i in range(row, row + count):
            store_half(out, 4 * i, value)


@inline_kernel
def _value_of(dictionary: Array, form: Any, code: Any) -> Any:
    return load_word(dictionary, 8 * code) if width(form) == 8 else load_half(dictionary, 4 * code)


@inline_kernel
def _take_coded(page: Array, state: Array, dictionary: Array, codes: Array, out: Array, row: Any, count: Any) -> Any:
    """Writes the next values of a dictionary-encoded page; returns 0 or a status."""
    entries, form, stop = state[ENTRIES], state[FORM], row + count
    while row < stop:
        n = min(repeated(state, VALUE_CURSOR), stop - row)
        if n >= _LONG_RUN:
            value = state[VALUE_CURSOR + VALUE]
            if value >= entries:
                return np.int64(CODE_OUT_OF_RANGE)
            _fill(form, _value_of(dictionary, form, value), out, row, n)
            advance(state, VALUE_CURSOR, n)
        else:
            n = min(BLOCK, stop - row)
            status = take_codes(page, state, VALUE_CURSOR, entries, codes, n)
            if status < 0:
                return status
            _look_up(dictionary, codes, form, out, row, n)
        row += n
    return np.int64(0)


@inline_kernel
def _spread(form: Any, valid: Array, out: Array, row: Any, stop: Any, present: Any) -> None:
    """Moves values from the end of a stretch of rows to the rows that have one; nulls become 0, or -1 for codes.

    A value is never overtaken: as many nulls lie before it as rows between it and its place, or fewer.
    """
    null = _NULL_CODE if form == CODES else _ZERO
    if present == 0:
        _fill(form, null, out, row, stop - row)
        return
    at = stop - present
    if width(form) == 8:
        for i in range(row, stop):
            value = load_word(out, 8 * min(at, stop - 1))
            at += valid[np.uint64(i)]
            store_word(out, 8 * i, value if valid[np.uint64(i)] else null)
    else:
        for i in range(row, stop):
            value = load_half(out, 4 * min(at, stop - 1))
            at += valid[np.uint64(i)]
            store_half(out, 4 * i, value if valid[np.uint64(i)] else null)


@kernel
def read_fixed(
    chunk: Array, directory: Array, page: Array, dictionary: Array, codes: Array, state: Array,
    out: Array, valid: Array, start: int, stop: int,
) -> int:  # fmt: skip
    """Decodes the next `stop - start` rows of a fixed-width column, or the codes of a text column.

    Parameters
    ----------
    chunk, directory, page, state
        As `open_chunk` left them.
    dictionary : ndarray, uint8
        What `open_chunk` wrote; for CODES, the caller's own codes (int32) for the dictionary's texts, seen as bytes.
    codes : ndarray, shape (>= CODES_LENGTH,), uint32
        Scratch.
    out : ndarray, shape (>= stop * width,), uint8
        Receives values of four (FOUR_BYTES, CODES) or eight bytes; nulls are 0, of CODES -1.
    valid : ndarray, shape (>= stop,), uint8
        Receives 1 for a value and 0 for a null, if the column is optional; else not touched, and may be empty.
    start, stop : int
        Rows of `out` and `valid` to write.

    Returns
    -------
    int
        Number of nulls, or a status.

    Notes
    -----
    O(rows), and each page is decompressed once. Source: the Parquet format.
    """
    form = state[FORM]
    if not consistent(directory, codes, state, valid, start, stop) or stop > len(out) // width(form):
        return BAD_ARGUMENT
    if form >= TEXTS or state[ENTRIES] > len(dictionary) // width(form):
        return BAD_ARGUMENT
    row, nulls = np.int64(start), np.int64(0)
    while row < stop:
        status = open_page(chunk, directory, page, state)
        if status < 0:
            return int(status)
        if form == CODES and state[PAGE_ENCODING] == PLAIN:
            return UNSUPPORTED_ENCODING  # `open_chunk` lets no such page pass
        end = row + min(state[ROWS_LEFT], stop - row)
        present = end - row
        if state[OPTIONAL] != 0:
            present = take_levels(page, state, LEVEL_CURSOR, valid, row, end - row)
            if present < 0:
                return int(present)
        if state[PAGE_ENCODING] == PLAIN:
            status = take_plain(page, state, out, end - present, present)
        else:
            status = _take_coded(page, state, dictionary, codes, out, end - present, present)
        if status < 0:
            return int(status)
        if present < end - row:
            _spread(form, valid, out, row, end, present)
        nulls += end - row - present
        state[ROWS_LEFT] -= end - row
        row = end
    state[NEXT_ROW], state[NULLS] = row, nulls
    return int(nulls)
