"""Opening a column chunk: all that happens before its first row, in one call.

How a chunk is read (`tests/kernels/test_pages.py` does exactly this):

1. Read its bytes into a uint8 array with PADDING bytes after them; `page_state.begin` returns its state.
2. `open_chunk`, with whatever arrays are there; as long as it asks for more room, call it again with larger ones.
3. `read_fixed` or `read_texts`, as the state's form says, as often as there are rows. A call goes on where the last one
   stopped, in the middle of a page or run too.

The invariant: no page is opened and no size is given to the caller before `_check_directory` passed all pages.

All arrays are C-contiguous and writable, so that each entry point has one signature (`warm.WARM`).

Source: the Parquet format, "Data Pages", "Dictionary Encoding".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.crc import check_pages
from checkrow_kernels.jit import inline_kernel, kernel
from checkrow_kernels.page_bodies import load_body
from checkrow_kernels.page_fixed import take_plain
from checkrow_kernels.page_state import (
    BUFFERS_FULL,
    CODEC,
    CODES,
    DICTIONARY_BYTES,
    EIGHT_BYTES,
    ENTRIES,
    FORM,
    IMPLAUSIBLE_SIZE,
    LONGEST,
    MISPLACED_DICTIONARY,
    OFFSETS,
    OPTIONAL,
    PAGE_BYTES,
    PAGES,
    PLAIN,
    PLAIN_DICTIONARY,
    RLE,
    SNAPPY,
    STATE_LENGTH,
    TEXTS,
    UNSUPPORTED_ENCODING,
    VALUE_CURSOR,
    is_coded,
    is_text,
    width,
)
from checkrow_kernels.page_texts import copy_texts
from checkrow_kernels.rle import open_cursor
from checkrow_kernels.thrift import (
    BAD_ARGUMENT,
    COMPRESSED_BYTES,
    DATA_PAGE,
    DICTIONARY_PAGE,
    ENCODING,
    KIND,
    LEVEL_ENCODING,
    PADDING,
    UNCOMPRESSED_BYTES,
    VALUES,
    list_pages,
)

Array = NDArray[Any]

SNAPPY_RATIO = 64
"""An element of 3 bytes or more makes 64 at most, so no block grows by more than 22; the rest is for short blocks."""


@inline_kernel
def _check_data_page(directory: Array, number: Any, optional: Any, has_dictionary: Any) -> Any:
    """Returns 0, or why a data page is not decoded here."""
    if directory[number, KIND] == DICTIONARY_PAGE:
        return np.int64(MISPLACED_DICTIONARY)
    coded = is_coded(directory[number, ENCODING])
    if not coded and directory[number, ENCODING] != PLAIN:
        return np.int64(UNSUPPORTED_ENCODING)
    if optional and directory[number, KIND] == DATA_PAGE and directory[number, LEVEL_ENCODING] != RLE:
        return np.int64(UNSUPPORTED_ENCODING)
    return np.int64(MISPLACED_DICTIONARY) if coded and not has_dictionary else np.int64(0)


@inline_kernel
def _check_dictionary_page(directory: Array, form: Any) -> Any:
    """Returns 0, or why the dictionary page, which comes first, is not decoded here."""
    if directory[0, ENCODING] not in (PLAIN, PLAIN_DICTIONARY):
        return np.int64(UNSUPPORTED_ENCODING)
    entry_bytes = 8 if form == EIGHT_BYTES else 4
    too_long = directory[0, VALUES] > directory[0, UNCOMPRESSED_BYTES] // entry_bytes
    return np.int64(IMPLAUSIBLE_SIZE) if too_long else np.int64(0)


@inline_kernel
def _has_dictionary(directory: Array, state: Array) -> Any:
    return state[PAGES] > 0 and directory[0, KIND] == DICTIONARY_PAGE


@inline_kernel
def _check_directory(directory: Array, state: Array, rows: Any) -> Any:
    """Returns 0 or why the chunk is not decoded here: an encoding, a page out of place, a size no honest chunk has.

    Sizes are then bounded by the chunk's: no page is more than SNAPPY_RATIO times as large as its bytes.
    """
    has_dictionary = _has_dictionary(directory, state)
    status = _check_dictionary_page(directory, state[FORM]) if has_dictionary else np.int64(0)
    ratio = SNAPPY_RATIO if state[CODEC] == SNAPPY else 1
    total = np.int64(0)
    for number in range(state[PAGES]):
        if directory[number, UNCOMPRESSED_BYTES] > ratio * (directory[number, COMPRESSED_BYTES] + ratio):
            return np.int64(IMPLAUSIBLE_SIZE)
        if number > 0 or not has_dictionary:
            status = min(status, _check_data_page(directory, number, state[OPTIONAL] != 0, has_dictionary))
            total += directory[number, VALUES]
    return np.int64(IMPLAUSIBLE_SIZE) if status == 0 and total != rows else status


@inline_kernel
def _note_needs(directory: Array, state: Array) -> None:
    """Sets the state's form (texts instead of codes where a data page has none), and what the buffers must hold."""
    largest = np.int64(0)
    for number in range(state[PAGES]):
        largest = max(largest, directory[number, UNCOMPRESSED_BYTES])
        if state[FORM] == CODES and directory[number, KIND] != DICTIONARY_PAGE:
            state[FORM] = CODES if is_coded(directory[number, ENCODING]) else TEXTS
    entries, size = np.int64(0), np.int64(0)
    if _has_dictionary(directory, state):
        entries, size = directory[0, VALUES], directory[0, UNCOMPRESSED_BYTES]
    state[PAGE_BYTES] = largest
    state[DICTIONARY_BYTES] = size if is_text(state[FORM]) else entries * width(state[FORM])
    state[OFFSETS] = entries + 1 if is_text(state[FORM]) else 0


@inline_kernel
def _load_dictionary(
    chunk: Array, directory: Array, page: Array, offsets: Array, dictionary: Array, state: Array
) -> Any:
    """Writes the dictionary page's values or texts, if there is one; returns how many, or a status."""
    if is_text(state[FORM]):
        offsets[0] = 0
    if not _has_dictionary(directory, state):
        return np.int64(0)
    entries, size = directory[0, VALUES], directory[0, UNCOMPRESSED_BYTES]
    status = load_body(chunk, directory, 0, page, state[CODEC])
    if status < 0:
        return status
    if is_text(state[FORM]):
        status = copy_texts(page, size, entries, offsets, dictionary)
        state[LONGEST] = status
    else:
        open_cursor(state, VALUE_CURSOR, 0, size, 0)
        status = take_plain(page, state, dictionary, 0, entries)
    return entries if status >= 0 else status


@kernel
def open_chunk(
    chunk: Array, size: int, directory: Array, page: Array, offsets: Array, dictionary: Array, state: Array, rows: int
) -> int:
    """Lists the pages of a column chunk, checks their headers and checksums, and loads the dictionary.

    Parameters
    ----------
    chunk : ndarray, shape (>= size + PADDING,), uint8
        The chunk's bytes from the first page header (the dictionary's, where there is one).
    size : int
        `total_compressed_size` of the chunk.
    directory : ndarray, shape (capacity, FIELDS), int64
        Receives what `thrift.list_pages` says of each page.
    page : ndarray, shape (>= state[PAGE_BYTES] + PADDING,), uint8
        Where pages are decompressed.
    offsets : ndarray, shape (>= state[OFFSETS],), int64
        Receives where each text of the dictionary starts, and the end of the last; not touched for numbers.
    dictionary : ndarray, shape (>= state[DICTIONARY_BYTES] + PADDING,), uint8
        Receives the dictionary's values in the output's width, or its texts.
    state : ndarray, shape (STATE_LENGTH,), int64
        Of `begin`. Where codes are wanted and a page has none, its form becomes TEXTS.
    rows : int
        What the file's footer says of the chunk.

    Returns
    -------
    int
        The dictionary's length, 0 if there is none; or DIRECTORY_FULL or BUFFERS_FULL, upon which the call is repeated
        with a longer directory, or with buffers as long as the state says; or one of REFUSALS; or another status: a
        page is damaged.

    Notes
    -----
    O(pages + bytes of the dictionary + bytes with a checksum). Sizes in the state are bounded by the chunk's. One call
    and not five, as each return has to wait until other threads are done with the interpreter.
    """
    if len(state) != STATE_LENGTH:
        return BAD_ARGUMENT
    state[ENTRIES] = 0
    state[PAGES] = 0
    found = list_pages(chunk, size, directory)
    if found < 0:
        return found
    state[PAGES] = found
    status = _check_directory(directory, state, rows)
    if status < 0:
        return int(status)
    _note_needs(directory, state)
    is_short = len(page) - PADDING < state[PAGE_BYTES] or len(dictionary) - PADDING < state[DICTIONARY_BYTES]
    if is_short or len(offsets) < state[OFFSETS]:
        return BUFFERS_FULL
    checked = check_pages(chunk, directory, found)
    if checked < 0:
        return checked
    entries = _load_dictionary(chunk, directory, page, offsets, dictionary, state)
    state[ENTRIES] = max(entries, np.int64(0))
    return int(entries)
