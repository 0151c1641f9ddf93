"""Bodies of pages: decompressed into the caller's page buffer, the cursors of levels and values set to their starts.

The invariant: a body is loaded only where it lies inside the chunk and fits the buffer with PADDING bytes to spare, and
no cursor's end is beyond the body's.

Source: the Parquet format, "Data Pages".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.jit import inline_kernel
from checkrow_kernels.page_state import (
    CHUNK_ENDED,
    CODEC,
    CORRUPT_VALUES,
    LEVEL_CURSOR,
    OPTIONAL,
    PAGE,
    PAGE_ENCODING,
    PAGE_TOO_LARGE,
    PAGES,
    PLAIN,
    RLE,
    RLE_DICTIONARY,
    ROWS_LEFT,
    SNAPPY,
    UNSUPPORTED_ENCODING,
    VALUE_CURSOR,
    is_coded,
)
from checkrow_kernels.rle import CORRUPT_CODES, CORRUPT_LEVELS, MAX_BITS, open_cursor
from checkrow_kernels.snappy import copy_over, uncompress
from checkrow_kernels.thrift import (
    BAD_ARGUMENT,
    BODY,
    COMPRESSED_BYTES,
    DATA_PAGE_V2,
    DEFINITION_BYTES,
    DICTIONARY_PAGE,
    ENCODING,
    IS_COMPRESSED,
    KIND,
    LEVEL_ENCODING,
    PADDING,
    REPETITION_BYTES,
    UNCOMPRESSED_BYTES,
    VALUES,
    byte_at,
)
from checkrow_kernels.words import load_half

Array = NDArray[Any]


@inline_kernel
def load_body(chunk: Array, directory: Array, number: Any, page: Array, codec: Any) -> Any:
    """Writes a page's levels and decompressed values to `page`; returns 0 or a status."""
    body, packed, size = (
        directory[number, BODY],
        directory[number, COMPRESSED_BYTES],
        directory[number, UNCOMPRESSED_BYTES],
    )
    levels = directory[number, DEFINITION_BYTES] + directory[number, REPETITION_BYTES]
    if size < 0 or size > len(page) - PADDING:
        return np.int64(PAGE_TOO_LARGE)
    room = len(chunk) - PADDING
    if not (0 <= body <= room and 0 <= packed <= room - body and 0 <= levels <= min(packed, size)):
        return np.int64(BAD_ARGUMENT)
    copy_over(chunk, body, page, 0, levels)
    if codec == SNAPPY and directory[number, IS_COMPRESSED] != 0:
        if packed == levels and size == levels:
            return np.int64(0)  # some writers leave an empty body empty
        return uncompress(chunk, body + levels, body + packed, page, levels, size - levels)
    if packed != size:
        return np.int64(CORRUPT_VALUES)
    copy_over(chunk, body + levels, page, levels, size - levels)
    return np.int64(0)


@inline_kernel
def _open_levels(directory: Array, number: Any, page: Array, state: Array) -> Any:
    """Sets the cursor of levels; returns where the values begin, or a status."""
    if directory[number, KIND] == DATA_PAGE_V2:
        start = directory[number, REPETITION_BYTES]
        stop = start + directory[number, DEFINITION_BYTES]
        open_cursor(state, LEVEL_CURSOR, start, stop, 1)
        return stop
    if state[OPTIONAL] == 0:
        return np.int64(0)
    size = directory[number, UNCOMPRESSED_BYTES]
    if directory[number, LEVEL_ENCODING] != RLE:
        return np.int64(UNSUPPORTED_ENCODING)
    stop = 4 + np.int64(load_half(page, 0))
    if stop > size:
        return np.int64(CORRUPT_LEVELS)
    open_cursor(state, LEVEL_CURSOR, 4, stop, 1)
    return stop


@inline_kernel
def _open_values(page: Array, state: Array, at: Any, stop: Any, encoding: Any) -> Any:
    """Sets the cursor of values; returns 0 or a status."""
    bits = np.int64(0)
    if is_coded(encoding):
        encoding = np.int64(RLE_DICTIONARY)
        if at < stop:
            bits = byte_at(page, at)
            at += 1
        if bits > MAX_BITS:
            return np.int64(CORRUPT_CODES)
    elif encoding != PLAIN:
        return np.int64(UNSUPPORTED_ENCODING)
    state[PAGE_ENCODING] = encoding
    open_cursor(state, VALUE_CURSOR, at, stop, bits)
    return np.int64(0)


@inline_kernel
def open_page(chunk: Array, directory: Array, page: Array, state: Array) -> Any:
    """Opens pages until there are rows; returns 0, CHUNK_ENDED, or a status."""
    while state[ROWS_LEFT] == 0:
        number = state[PAGE]
        if number >= state[PAGES]:
            return np.int64(CHUNK_ENDED)
        state[PAGE] += 1
        if directory[number, KIND] == DICTIONARY_PAGE:
            continue
        status = load_body(chunk, directory, number, page, state[CODEC])
        if status < 0:
            return status
        at = _open_levels(directory, number, page, state)
        if at < 0:
            return at
        status = _open_values(page, state, at, directory[number, UNCOMPRESSED_BYTES], directory[number, ENCODING])
        if status < 0:
            return status
        state[ROWS_LEFT] = directory[number, VALUES]
    return np.int64(0)
