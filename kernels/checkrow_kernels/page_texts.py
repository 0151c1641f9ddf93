"""Texts of a BYTE_ARRAY column, decoded a batch at a time into bytes and their offsets.

The invariant: a text is copied only where its end is inside its page, or between two offsets of the dictionary, and it
fits the array; where it does not fit, reading stops before its row and goes on there with a larger array.

Source: the Parquet format, "Encodings".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.jit import inline_kernel, kernel
from checkrow_kernels.page_bodies import open_page
from checkrow_kernels.page_state import (
    CORRUPT_VALUES,
    ENTRIES,
    FORM,
    LEVEL_CURSOR,
    LONGEST,
    NEXT_ROW,
    NULLS,
    OPTIONAL,
    PAGE,
    PAGE_ENCODING,
    PAGES,
    PLAIN,
    ROWS_LEFT,
    SAVED,
    TEXTS,
    TEXTS_FULL,
    VALUE_CURSOR,
    consistent,
)
from checkrow_kernels.rle import AT, BLOCK, CURSOR, END, TOO_FEW_VALUES, take_codes, take_levels
from checkrow_kernels.snappy import copy_over
from checkrow_kernels.thrift import (
    BAD_ARGUMENT,
    DICTIONARY_PAGE,
    ENCODING,
    KIND,
    PADDING,
    UNCOMPRESSED_BYTES,
    VALUES,
)
from checkrow_kernels.words import load_half

Array = NDArray[Any]


@inline_kernel
def copy_texts(page: Array, size: Any, entries: Any, offsets: Array, data: Array) -> Any:
    """Writes a dictionary's plain texts one after the other; returns the longest one's bytes, or a status."""
    at, to, room, longest = np.int64(0), np.int64(0), len(data) - PADDING, np.int64(0)
    for i in range(entries):
        if size - at < 4:
            return np.int64(TOO_FEW_VALUES)
        length = np.int64(load_half(page, at))
        if length > size - at - 4:
            return np.int64(CORRUPT_VALUES)
        if length > room - to:
            return np.int64(BAD_ARGUMENT)
        copy_over(page, at + 4, data, to, length)
        at += 4 + length
        to += length
        longest = max(longest, length)
        offsets[np.uint64(i + 1)] = to
    return longest


def estimate_text_bytes(directory: Array, state: Array, rows: int) -> int:
    """Returns about how many bytes the next rows' texts take: never too few where whole pages are read.

    Parameters
    ----------
    directory, state
        Of the chunk.
    rows : int
        How many rows will be read.

    Notes
    -----
    O(pages). An estimate, as a page's texts need not be equally long: `read_texts` stops where the array is full.
    """
    held, longest = min(rows, int(state[ROWS_LEFT])), int(state[LONGEST])
    plain = int(state[VALUE_CURSOR + END] - state[VALUE_CURSOR + AT])
    total = held * longest if state[PAGE_ENCODING] != PLAIN else plain if held else 0
    rows -= held
    for page in directory[state[PAGE] : state[PAGES]]:
        if page[KIND] == DICTIONARY_PAGE or rows <= 0:
            continue
        held = min(rows, int(page[VALUES]))
        size = int(page[UNCOMPRESSED_BYTES]) * held // max(int(page[VALUES]), 1)
        total += size if page[ENCODING] == PLAIN else held * longest
        rows -= held
    return total


@inline_kernel
def _save(state: Array, base: Any) -> None:
    for i in range(CURSOR):
        state[base + SAVED + i] = state[base + i]


@inline_kernel
def _restore(state: Array, base: Any) -> None:
    for i in range(CURSOR):
        state[base + i] = state[base + SAVED + i]


@inline_kernel
def _plain_texts(page: Array, state: Array, valid: Array, offsets: Array, data: Array, row: Any, stop: Any) -> Any:
    """Writes the next plain texts; returns the row it came to, short of `stop` if `data` is full, or a status."""
    at, end, optional = state[VALUE_CURSOR + AT], state[VALUE_CURSOR + END], state[OPTIONAL] != 0
    to, room = offsets[row], len(data) - PADDING
    while row < stop:
        if not (optional and valid[np.uint64(row)] == 0):
            if end - at < 4:
                return np.int64(TOO_FEW_VALUES)
            length = np.int64(load_half(page, at))
            if length > end - at - 4:
                return np.int64(CORRUPT_VALUES)
            if length > room - to:
                break
            copy_over(page, at + 4, data, to, length)
            at += 4 + length
            to += length
        row += 1
        offsets[np.uint64(row)] = to
    state[VALUE_CURSOR + AT] = at
    return row


@inline_kernel
def _look_up_texts(
    words: Array, word_offsets: Array, codes: Array, optional: Any, valid: Array, offsets: Array, data: Array,
    row: Any, stop: Any,
) -> Any:  # fmt: skip
    """Writes the texts of codes; returns the row it came to, short of `stop` if `data` is full."""
    to, room, i = offsets[row], len(data) - PADDING, np.int64(0)
    while row < stop:
        if not (optional and valid[np.uint64(row)] == 0):
            code = np.uint64(codes[np.uint64(i)])
            first = word_offsets[code]
            length = word_offsets[code + np.uint64(1)] - first
            if length > room - to:
                break
            copy_over(words, first, data, to, length)
            to += length
            i += 1
        row += 1
        offsets[np.uint64(row)] = to
    return row


@inline_kernel
def _present(state: Array, valid: Array, row: Any, stop: Any) -> Any:
    """Returns how many rows are not null."""
    if state[OPTIONAL] == 0:
        return np.int64(stop - row)
    present = np.int64(0)
    for i in range(row, stop):
        present += valid[np.uint64(i)]
    return present


@inline_kernel
def _coded_texts(
    page: Array, state: Array, words: Array, word_offsets: Array, codes: Array, valid: Array, offsets: Array,
    data: Array, row: Any, stop: Any,
) -> Any:  # fmt: skip
    """Writes the next texts of a dictionary-encoded page; returns the row it came to, or a status."""
    while row < stop:
        last = min(row + BLOCK, stop)
        _save(state, VALUE_CURSOR)
        status = take_codes(page, state, VALUE_CURSOR, state[ENTRIES], codes, _present(state, valid, row, last))
        if status < 0:
            return status
        optional = state[OPTIONAL] != 0
        reached = _look_up_texts(words, word_offsets, codes, optional, valid, offsets, data, row, last)
        if reached < last:
            # Codes of rows that found no place are taken again by the next call.
            _restore(state, VALUE_CURSOR)
            status = take_codes(page, state, VALUE_CURSOR, state[ENTRIES], codes, _present(state, valid, row, reached))
            return reached if status == 0 else status
        row = reached
    return row


@kernel
def read_texts(
    chunk: Array, directory: Array, page: Array, words: Array, word_offsets: Array, codes: Array, state: Array,
    offsets: Array, data: Array, valid: Array, start: int, stop: int,
) -> int:  # fmt: skip
    """Decodes the next `stop - start` rows of a BYTE_ARRAY column; nulls are empty texts.

    Parameters
    ----------
    chunk, directory, page, codes, state, valid, start, stop
        As for `read_fixed`.
    words, word_offsets : ndarray, uint8 and int64
        What `open_chunk` wrote to `dictionary` and `offsets`.
    offsets : ndarray, shape (>= stop + 1,), int64
        `offsets[start]` says where the first text goes (0 in a new batch); the ends of the texts are written after it.
    data : ndarray, shape (capacity + PADDING,), uint8
        Receives the texts.

    Returns
    -------
    int
        Number of nulls; or TEXTS_FULL: rows up to state[NEXT_ROW] are written, NULLS of them null, and with a larger
        `data` (of the same content up to `offsets[NEXT_ROW]`) reading goes on from there; or another status.

    Notes
    -----
    O(bytes), and each page is decompressed once. Source: the Parquet format.
    """
    if not consistent(directory, codes, state, valid, start, stop) or stop >= len(offsets):
        return BAD_ARGUMENT
    if state[FORM] != TEXTS or state[ENTRIES] >= len(word_offsets):
        return BAD_ARGUMENT
    if not 0 <= offsets[start] <= len(data) - PADDING:
        return BAD_ARGUMENT
    row, nulls = np.int64(start), np.int64(0)
    full = False
    while row < stop and not full:
        status = open_page(chunk, directory, page, state)
        if status < 0:
            return int(status)
        end = row + min(state[ROWS_LEFT], stop - row)
        if state[OPTIONAL] != 0:
            _save(state, LEVEL_CURSOR)
            status = take_levels(page, state, LEVEL_CURSOR, valid, row, end - row)
            if status < 0:
                return int(status)
        if state[PAGE_ENCODING] == PLAIN:
            reached = _plain_texts(page, state, valid, offsets, data, row, end)
        else:
            reached = _coded_texts(page, state, words, word_offsets, codes, valid, offsets, data, row, end)
        if reached < 0:
            return int(reached)
        full = reached < end
        if full and state[OPTIONAL] != 0:
            _restore(state, LEVEL_CURSOR)
            take_levels(page, state, LEVEL_CURSOR, valid, row, reached - row)
        nulls += reached - row - _present(state, valid, row, reached)
        state[ROWS_LEFT] -= reached - row
        row = reached
    state[NEXT_ROW], state[NULLS] = row, nulls
    return TEXTS_FULL if full else int(nulls)
