"""Values of one flat Parquet column chunk, decoded a batch at a time into arrays of the caller.

How it is called (`tests/kernels/test_pages.py` does exactly this):

1. Read the chunk's bytes into a uint8 array with PADDING bytes after them.
2. `page_directory` lists the pages, `refusal` says why another reader must take this chunk, or "", and `check_pages`
   compares checksums.
3. Allocate `page` (the largest page + PADDING) and `codes` (CODES_LENGTH, uint32); `begin` returns the state.
4. `load_dictionary`, or `load_dictionary_texts` for BYTE_ARRAY. Without a dictionary page they return 0.
5. `read_fixed` or `read_texts` for rows `start` to `stop` of the caller's arrays, as often as there are rows. A call
   goes on where the last one stopped, in the middle of a page or run too.

The invariant: nothing outside the given arrays is read or written, whatever the chunk's bytes are. All positions are
checked against the page's or the output's end before they are used, words reach over an end by less than PADDING, and
codes are below the dictionary's length before it is asked. Damage that can be seen is a negative status, after which
the state is of no use; only TEXTS_FULL and NOT_DICTIONARY leave it where reading goes on.

All arrays are C-contiguous and writable, so that each function has one signature (WARM). Fixed-width outputs and
dictionaries are seen as bytes (`array.view(np.uint8)`). Optional columns have one definition level; `valid` has a byte
per row and is not touched for required columns.

Source: the Parquet format, "Data Pages", "Encodings".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from checkrow_kernels import crc, rle, snappy, thrift
from checkrow_kernels.crc import check_pages
from checkrow_kernels.jit import inline_kernel, kernel
from checkrow_kernels.rle import (
    AT,
    BLOCK,
    CODE_OUT_OF_RANGE,
    CORRUPT_CODES,
    CORRUPT_LEVELS,
    CURSOR,
    END,
    MAX_BITS,
    SPARE,
    TOO_FEW_VALUES,
    VALUE,
    advance,
    open_cursor,
    repeated,
    take_codes,
    take_levels,
)
from checkrow_kernels.snappy import copy_over, uncompress
from checkrow_kernels.thrift import (
    BAD_ARGUMENT,
    BODY,
    COMPRESSED_BYTES,
    DATA_PAGE,
    DATA_PAGE_V2,
    DEFINITION_BYTES,
    DICTIONARY_PAGE,
    ENCODING,
    FIELDS,
    IS_COMPRESSED,
    KIND,
    LEVEL_ENCODING,
    PADDING,
    REPETITION_BYTES,
    UNCOMPRESSED_BYTES,
    VALUES,
    byte_at,
    page_directory,
)
from checkrow_kernels.words import load_half, load_word, store_half, store_word

Array = NDArray[Any]

CORRUPT_VALUES = -11
PAGE_TOO_LARGE = -12
UNSUPPORTED_ENCODING = -13
TEXTS_FULL = -14
NOT_DICTIONARY = -15
CHUNK_ENDED = -16
MISPLACED_DICTIONARY = -17
IMPLAUSIBLE_SIZE = -18

STATUS = {
    thrift.CORRUPT_HEADER: "a page header is damaged",
    thrift.UNSUPPORTED_HEADER: "a page header has a structure that is not known",
    thrift.DIRECTORY_FULL: "there are more pages than the directory holds",
    thrift.BAD_ARGUMENT: "an array is too short for what it was given for",
    crc.WRONG_CRC: "a page's checksum differs from its bytes",
    snappy.CORRUPT_SNAPPY: "a page's compressed bytes are damaged",
    rle.CORRUPT_LEVELS: "a page's definition levels are damaged",
    rle.CORRUPT_CODES: "a page's dictionary codes are damaged",
    rle.CODE_OUT_OF_RANGE: "a page has a code beyond the dictionary",
    rle.TOO_FEW_VALUES: "a page has fewer values than it promises",
    CORRUPT_VALUES: "a page's sizes or values are damaged",
    PAGE_TOO_LARGE: "a page is larger than its buffer",
    UNSUPPORTED_ENCODING: "a page has an encoding that is not decoded here",
    TEXTS_FULL: "the array for texts is full; reading goes on with a larger one",
    NOT_DICTIONARY: "the next page holds values, not codes; reading goes on as texts",
    MISPLACED_DICTIONARY: "the dictionary page is missing or not the first",
    IMPLAUSIBLE_SIZE: "a size or number of values differs from what the chunk can hold",
    CHUNK_ENDED: "the chunk has fewer rows than asked for",
}

UNCOMPRESSED, SNAPPY = 0, 1
PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY = 0, 2, 3, 8

# Forms of the output.
FOUR_BYTES, EIGHT_BYTES, WIDENED, CODES, TEXTS = range(5)

# The state: constants of the chunk, where reading stands, and two cursors with a place to save each.
_PAGES, _CODEC, _OPTIONAL, _FORM, ENTRIES, PAGE, ROWS_LEFT, _PAGE_ENCODING, NEXT_ROW, NULLS = range(10)
_VALUES = 10
_LEVELS = _VALUES + CURSOR
_SAVED = 2 * CURSOR
STATE_LENGTH = _VALUES + 4 * CURSOR
CODES_LENGTH = BLOCK + SPARE

_LONG_RUN = 512
"""From here on a run of one value is filled in; shorter ones are codes among codes."""
_NULL_CODE = np.uint64(0xFFFFFFFF)
_ZERO = np.uint64(0)
SNAPPY_RATIO = 64
"""An element of 3 bytes or more makes 64 at most, so no block grows by more than 22; the rest is for short blocks."""


def begin(pages: int, codec: int, form: int, optional: bool) -> Array:
    """Returns the state of a chunk before its first row.

    Parameters
    ----------
    pages : int
        What `page_directory` returned.
    codec : int
        UNCOMPRESSED or SNAPPY.
    form : int
        FOUR_BYTES (INT32, FLOAT), EIGHT_BYTES (INT64, DOUBLE), WIDENED (INT32 as int64), CODES or TEXTS (BYTE_ARRAY).
    optional : bool
        Whether the column's only definition level is 1, so that it may have nulls.

    Returns
    -------
    ndarray, shape (STATE_LENGTH,), int64
        [ENTRIES] is the dictionary's length, [PAGE] the page to open next, [ROWS_LEFT] the rows left in the open one,
        [NEXT_ROW] the row of the output after the last one written and [NULLS] the nulls among the rows of the last
        call; the rest is private.
    """
    state = np.zeros(STATE_LENGTH, np.int64)
    state[:ENTRIES] = pages, codec, optional, form
    return state


@inline_kernel
def _is_coded(encoding: Any) -> Any:
    return encoding in (PLAIN_DICTIONARY, RLE_DICTIONARY)


@inline_kernel
def _check_data_page(directory: Array, number: Any, optional: Any, has_dictionary: Any) -> Any:
    """Returns 0, or why a data page is not decoded here."""
    if directory[number, KIND] == DICTIONARY_PAGE:
        return np.int64(MISPLACED_DICTIONARY)
    coded = _is_coded(directory[number, ENCODING])
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


@kernel
def check_directory(directory: Array, state: Array, rows: int) -> int:
    """Says whether a chunk can be decoded here, before anything is allocated for it.

    Parameters
    ----------
    directory : ndarray, shape (>= pages, FIELDS), int64
        What `page_directory` wrote.
    state : ndarray, shape (STATE_LENGTH,), int64
        Of `begin`.
    rows : int
        What the file's footer says of the chunk.

    Returns
    -------
    int
        0; or UNSUPPORTED_ENCODING, MISPLACED_DICTIONARY, IMPLAUSIBLE_SIZE (a page, dictionary or number of rows that
        no honest chunk has); or NOT_DICTIONARY, for CODES only: all is well, but some pages hold plain values.

    Notes
    -----
    O(pages). Sizes are then bounded by the chunk's: no page is more than SNAPPY_RATIO times as large as its bytes.
    """
    if len(state) != STATE_LENGTH or directory.shape[1] != FIELDS or state[_PAGES] > directory.shape[0]:
        return BAD_ARGUMENT
    has_dictionary = state[_PAGES] > 0 and directory[0, KIND] == DICTIONARY_PAGE
    status = _check_dictionary_page(directory, state[_FORM]) if has_dictionary else np.int64(0)
    ratio = SNAPPY_RATIO if state[_CODEC] == SNAPPY else 1
    total, plain = np.int64(0), False
    for number in range(state[_PAGES]):
        if directory[number, UNCOMPRESSED_BYTES] > ratio * (directory[number, COMPRESSED_BYTES] + ratio):
            return IMPLAUSIBLE_SIZE
        if number > 0 or not has_dictionary:
            status = min(status, _check_data_page(directory, number, state[_OPTIONAL] != 0, has_dictionary))
            total += directory[number, VALUES]
            plain |= directory[number, ENCODING] == PLAIN
    if status < 0:
        return int(status)
    if total != rows:
        return IMPLAUSIBLE_SIZE
    return NOT_DICTIONARY if plain and state[_FORM] == CODES else 0


def refusal(directory: Array, form: int, codec: int, optional: bool, rows: int) -> str:
    """Returns why another reader must take a chunk, or "": `check_directory` in words.

    Parameters
    ----------
    directory : ndarray, shape (pages, FIELDS), int64
        What `page_directory` wrote, cut to the pages there are.
    form, codec, optional
        As for `begin`.
    rows : int
        What the file's footer says of the chunk.
    """
    status = check_directory(directory, begin(len(directory), codec, form, optional), rows)
    return STATUS[status] if status < 0 else ""


def estimate_text_bytes(directory: Array, state: Array, longest: int, rows: int) -> int:
    """Returns about how many bytes the next rows' texts take: never too few where whole pages are read.

    Parameters
    ----------
    directory, state
        Of the chunk.
    longest : int
        The longest text of the dictionary.
    rows : int
        How many rows will be read.

    Notes
    -----
    O(pages). An estimate, as a page's texts need not be equally long: `read_texts` stops where the array is full.
    """
    held = min(rows, int(state[ROWS_LEFT]))
    plain = int(state[_VALUES + END] - state[_VALUES + AT])
    total = held * longest if state[_PAGE_ENCODING] != PLAIN else plain if held else 0
    rows -= held
    for page in directory[state[PAGE] : state[_PAGES]]:
        if page[KIND] == DICTIONARY_PAGE or rows <= 0:
            continue
        held = min(rows, int(page[VALUES]))
        size = int(page[UNCOMPRESSED_BYTES]) * held // max(int(page[VALUES]), 1)
        total += size if page[ENCODING] == PLAIN else held * longest
        rows -= held
    return total


@inline_kernel
def _load_body(chunk: Array, directory: Array, number: Any, page: Array, codec: Any) -> Any:
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
        open_cursor(state, _LEVELS, start, stop, 1)
        return stop
    if state[_OPTIONAL] == 0:
        return np.int64(0)
    size = directory[number, UNCOMPRESSED_BYTES]
    if directory[number, LEVEL_ENCODING] != RLE:
        return np.int64(UNSUPPORTED_ENCODING)
    stop = 4 + np.int64(load_half(page, 0))
    if stop > size:
        return np.int64(CORRUPT_LEVELS)
    open_cursor(state, _LEVELS, 4, stop, 1)
    return stop


@inline_kernel
def _open_values(page: Array, state: Array, at: Any, stop: Any, encoding: Any) -> Any:
    """Sets the cursor of values; returns 0 or a status."""
    bits = np.int64(0)
    if encoding in (RLE_DICTIONARY, PLAIN_DICTIONARY):
        encoding = np.int64(RLE_DICTIONARY)
        if at < stop:
            bits = byte_at(page, at)
            at += 1
        if bits > MAX_BITS:
            return np.int64(CORRUPT_CODES)
    elif encoding != PLAIN:
        return np.int64(UNSUPPORTED_ENCODING)
    state[_PAGE_ENCODING] = encoding
    open_cursor(state, _VALUES, at, stop, bits)
    return np.int64(0)


@inline_kernel
def _open_page(chunk: Array, directory: Array, page: Array, state: Array) -> Any:
    """Opens pages until there are rows; returns 0, CHUNK_ENDED, or a status."""
    while state[ROWS_LEFT] == 0:
        number = state[PAGE]
        if number >= state[_PAGES]:
            return np.int64(CHUNK_ENDED)
        state[PAGE] += 1
        if directory[number, KIND] == DICTIONARY_PAGE:
            continue
        status = _load_body(chunk, directory, number, page, state[_CODEC])
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


@inline_kernel
def _width(form: Any) -> Any:
    return 8 if form in (EIGHT_BYTES, WIDENED) else 4


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
def _take_plain(page: Array, state: Array, out: Array, row: Any, count: Any) -> Any:
    """Writes the next plain values; returns 0 or TOO_FEW_VALUES."""
    at = state[_VALUES + AT]
    length = count * (8 if state[_FORM] == EIGHT_BYTES else 4)
    if length > state[_VALUES + END] - at:
        return np.int64(TOO_FEW_VALUES)
    _copy_plain(page, at, state[_FORM], out, row, count)
    state[_VALUES + AT] = at + length
    return np.int64(0)


@inline_kernel
def _look_up(dictionary: Array, codes: Array, form: Any, out: Array, row: Any, count: Any) -> None:
    """Writes the values of codes, or the codes."""
    if form == CODES:
        for i in range(count):
            store_half(out, 4 * (row + i), np.uint64(codes[np.uint64(i)]))
    elif form == FOUR_BYTES:
        for i in range(count):
            store_half(out, 4 * (row + i), load_half(dictionary, 4 * np.int64(codes[np.uint64(i)])))
    else:
        for i in range(count):
            store_word(out, 8 * (row + i), load_word(dictionary, 8 * np.int64(codes[np.uint64(i)])))


@inline_kernel
def _fill(form: Any, value: Any, out: Array, row: Any, count: Any) -> None:
    """Writes one value to many rows."""
    if _width(form) == 8:
        for i in range(row, row + count):
            store_word(out, 8 * i, value)
    else:
        for i in range(row, row + count):
            store_half(out, 4 * i, value)


@inline_kernel
def _value_of(dictionary: Array, form: Any, code: Any) -> Any:
    if form == CODES:
        return np.uint64(code)
    return load_half(dictionary, 4 * code) if form == FOUR_BYTES else load_word(dictionary, 8 * code)


@inline_kernel
def _take_coded(page: Array, state: Array, dictionary: Array, codes: Array, out: Array, row: Any, count: Any) -> Any:
    """Writes the next values of a dictionary-encoded page; returns 0 or a status."""
    entries, form, stop = state[ENTRIES], state[_FORM], row + count
    while row < stop:
        n = min(repeated(state, _VALUES), stop - row)
        if n >= _LONG_RUN:
            value = state[_VALUES + VALUE]
            if value >= entries:
                return np.int64(CODE_OUT_OF_RANGE)
            _fill(form, _value_of(dictionary, form, value), out, row, n)
            advance(state, _VALUES, n)
        else:
            n = min(BLOCK, stop - row)
            status = take_codes(page, state, _VALUES, entries, codes, n)
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
    if _width(form) == 8:
        for i in range(row, stop):
            value = load_word(out, 8 * min(at, stop - 1))
            at += valid[np.uint64(i)]
            store_word(out, 8 * i, value if valid[np.uint64(i)] else null)
    else:
        for i in range(row, stop):
            value = load_half(out, 4 * min(at, stop - 1))
            at += valid[np.uint64(i)]
            store_half(out, 4 * i, value if valid[np.uint64(i)] else null)


@inline_kernel
def _consistent(directory: Array, codes: Array, state: Array, valid: Array, start: Any, stop: Any) -> Any:
    """Returns whether the arrays are long enough for what all readers do with them."""
    if len(state) != STATE_LENGTH or directory.shape[1] != FIELDS or len(codes) < CODES_LENGTH:
        return False
    if not (state[PAGE] >= 0 and state[_PAGES] <= directory.shape[0] and 0 <= start <= stop):
        return False
    return state[_OPTIONAL] == 0 or stop <= len(valid)


@kernel
def load_dictionary(chunk: Array, directory: Array, page: Array, state: Array, dictionary: Array) -> int:
    """Writes the values of a chunk's dictionary page.

    Parameters
    ----------
    chunk : ndarray, uint8
        The column chunk, with PADDING bytes after it.
    directory : ndarray, shape (>= pages, FIELDS), int64
        What `page_directory` wrote.
    page : ndarray, shape (largest page + PADDING,), uint8
        Where pages are decompressed.
    state : ndarray, shape (STATE_LENGTH,), int64
        Of `begin`; ENTRIES is set. Its form is FOUR_BYTES, EIGHT_BYTES, WIDENED, or CODES, which stores nothing.
    dictionary : ndarray, uint8
        Receives four or eight bytes a value: `directory[0, VALUES]` times the output's width.

    Returns
    -------
    int
        Number of values, 0 if there is no dictionary page, or a status.

    Notes
    -----
    O(size of the page). Source: the Parquet format, "Dictionary Encoding".
    """
    if len(state) != STATE_LENGTH or directory.shape[1] != FIELDS or state[_PAGES] > directory.shape[0]:
        return BAD_ARGUMENT
    state[ENTRIES] = 0
    if state[_PAGES] == 0 or directory[0, KIND] != DICTIONARY_PAGE:
        return 0
    entries, form = directory[0, VALUES], state[_FORM]
    if form != CODES:
        if entries < 0 or entries > len(dictionary) // _width(form):
            return BAD_ARGUMENT
        status = _load_body(chunk, directory, 0, page, state[_CODEC])
        if status < 0:
            return int(status)
        open_cursor(state, _VALUES, 0, directory[0, UNCOMPRESSED_BYTES], 0)
        status = _take_plain(page, state, dictionary, 0, entries)
        if status < 0:
            return int(status)
    state[ENTRIES] = entries
    return int(entries)


@inline_kernel
def _copy_texts(page: Array, size: Any, entries: Any, offsets: Array, data: Array) -> Any:
    """Writes plain texts one after the other; returns 0 or a status."""
    at, to, room = np.int64(0), np.int64(0), len(data) - PADDING
    offsets[0] = 0
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
        offsets[np.uint64(i + 1)] = to
    return np.int64(0)


@kernel
def load_dictionary_texts(
    chunk: Array, directory: Array, page: Array, state: Array, offsets: Array, data: Array
) -> int:
    """Writes the texts of a BYTE_ARRAY chunk's dictionary page.

    Parameters
    ----------
    chunk, directory, page, state
        As for `load_dictionary`, of the form TEXTS or CODES.
    offsets : ndarray, shape (>= directory[0, VALUES] + 1,), int64
        Receives where each text starts, and the end of the last.
    data : ndarray, shape (>= bytes + PADDING,), uint8
        Receives the texts; the page's UNCOMPRESSED_BYTES + PADDING are enough.

    Returns
    -------
    int
        Number of texts, 0 if there is no dictionary page, or a status.

    Notes
    -----
    O(size of the page). Source: the Parquet format, "Dictionary Encoding".
    """
    if len(state) != STATE_LENGTH or directory.shape[1] != FIELDS or state[_PAGES] > directory.shape[0]:
        return BAD_ARGUMENT
    state[ENTRIES] = 0
    if len(offsets) < 1:
        return BAD_ARGUMENT
    offsets[0] = 0
    if state[_PAGES] == 0 or directory[0, KIND] != DICTIONARY_PAGE:
        return 0
    entries = directory[0, VALUES]
    if entries < 0 or entries >= len(offsets):
        return BAD_ARGUMENT
    status = _load_body(chunk, directory, 0, page, state[_CODEC])
    if status < 0:
        return int(status)
    status = _copy_texts(page, directory[0, UNCOMPRESSED_BYTES], entries, offsets, data)
    if status < 0:
        return int(status)
    state[ENTRIES] = entries
    return int(entries)


@kernel
def read_fixed(
    chunk: Array, directory: Array, page: Array, dictionary: Array, codes: Array, state: Array,
    out: Array, valid: Array, start: int, stop: int,
) -> int:  # fmt: skip
    """Decodes the next `stop - start` rows of a fixed-width column, or the codes of a text column.

    Parameters
    ----------
    chunk, directory, page, state
        As for `load_dictionary`, which was called before.
    dictionary : ndarray, uint8
        What `load_dictionary` wrote; not used for CODES.
    codes : ndarray, shape (>= CODES_LENGTH,), uint32
        Scratch.
    out : ndarray, shape (>= stop * width,), uint8
        Receives values of four (FOUR_BYTES, CODES) or eight bytes; nulls are 0, null codes are -1.
    valid : ndarray, shape (>= stop,), uint8
        Receives 1 for a value and 0 for a null, if the column is optional; else not touched, and may be empty.
    start, stop : int
        Rows of `out` and `valid` to write.

    Returns
    -------
    int
        Number of nulls; or NOT_DICTIONARY when CODES are read and the next page holds plain values: rows up to
        state[NEXT_ROW] are written, NULLS of them null, and the state is where reading can go on (`as_texts`); or
        another status, and the state is of no use.

    Notes
    -----
    O(rows), and each page is decompressed once. Source: the Parquet format.
    """
    form = state[_FORM]
    if not _consistent(directory, codes, state, valid, start, stop) or stop > len(out) // _width(form):
        return BAD_ARGUMENT
    if form >= TEXTS or (form != CODES and state[ENTRIES] > len(dictionary) // _width(form)):
        return BAD_ARGUMENT
    row, nulls = np.int64(start), np.int64(0)
    while row < stop:
        status = _open_page(chunk, directory, page, state)
        if status < 0:
            return int(status)
        if form == CODES and state[_PAGE_ENCODING] == PLAIN:
            state[NEXT_ROW], state[NULLS] = row, nulls
            return NOT_DICTIONARY
        end = row + min(state[ROWS_LEFT], stop - row)
        present = end - row
        if state[_OPTIONAL] != 0:
            present = take_levels(page, state, _LEVELS, valid, row, end - row)
            if present < 0:
                return int(present)
        if state[_PAGE_ENCODING] == PLAIN:
            status = _take_plain(page, state, out, end - present, present)
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


def as_values(state: Array) -> None:
    """Makes a state of CODES, its dictionary loaded, one of FOUR_BYTES: values of the caller's stand for the codes."""
    state[_FORM] = FOUR_BYTES


def as_texts(state: Array) -> None:
    """Makes a state that stopped with NOT_DICTIONARY one for `read_texts`."""
    state[_FORM] = TEXTS


@inline_kernel
def _save(state: Array, base: Any) -> None:
    for i in range(CURSOR):
        state[base + _SAVED + i] = state[base + i]


@inline_kernel
def _restore(state: Array, base: Any) -> None:
    for i in range(CURSOR):
        state[base + i] = state[base + _SAVED + i]


@inline_kernel
def _plain_texts(page: Array, state: Array, valid: Array, offsets: Array, data: Array, row: Any, stop: Any) -> Any:
    """Writes the next plain texts; returns the row it came to, short of `stop` if `data` is full, or a status."""
    at, end, optional = state[_VALUES + AT], state[_VALUES + END], state[_OPTIONAL] != 0
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
    state[_VALUES + AT] = at
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
    if state[_OPTIONAL] == 0:
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
        _save(state, _VALUES)
        status = take_codes(page, state, _VALUES, state[ENTRIES], codes, _present(state, valid, row, last))
        if status < 0:
            return status
        optional = state[_OPTIONAL] != 0
        reached = _look_up_texts(words, word_offsets, codes, optional, valid, offsets, data, row, last)
        if reached < last:
            # Codes of rows that found no place are taken again by the next call.
            _restore(state, _VALUES)
            status = take_codes(page, state, _VALUES, state[ENTRIES], codes, _present(state, valid, row, reached))
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
        What `load_dictionary_texts` wrote to `data` and `offsets`.
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
    if not _consistent(directory, codes, state, valid, start, stop) or stop >= len(offsets):
        return BAD_ARGUMENT
    if state[_FORM] != TEXTS or state[ENTRIES] >= len(word_offsets):
        return BAD_ARGUMENT
    if not 0 <= offsets[start] <= len(data) - PADDING:
        return BAD_ARGUMENT
    row, nulls = np.int64(start), np.int64(0)
    full = False
    while row < stop and not full:
        status = _open_page(chunk, directory, page, state)
        if status < 0:
            return int(status)
        end = row + min(state[ROWS_LEFT], stop - row)
        if state[_OPTIONAL] != 0:
            _save(state, _LEVELS)
            status = take_levels(page, state, _LEVELS, valid, row, end - row)
            if status < 0:
                return int(status)
        if state[_PAGE_ENCODING] == PLAIN:
            reached = _plain_texts(page, state, valid, offsets, data, row, end)
        else:
            reached = _coded_texts(page, state, words, word_offsets, codes, valid, offsets, data, row, end)
        if reached < 0:
            return int(reached)
        full = reached < end
        if full and state[_OPTIONAL] != 0:
            _restore(state, _LEVELS)
            take_levels(page, state, _LEVELS, valid, row, reached - row)
        nulls += reached - row - _present(state, valid, row, reached)
        state[ROWS_LEFT] -= reached - row
        row = reached
    state[NEXT_ROW], state[NULLS] = row, nulls
    return TEXTS_FULL if full else int(nulls)


_BYTES, _TABLE = types.Array(types.uint8, 1, "C"), types.Array(types.int64, 2, "C")
_INTS, _SCRATCH, _INT = types.Array(types.int64, 1, "C"), types.Array(types.uint32, 1, "C"), types.int64

WARM = (
    (page_directory, (_BYTES, _INT, _TABLE)),
    (check_pages, (_BYTES, _TABLE, _INT)),
    (check_directory, (_TABLE, _INTS, _INT)),
    (load_dictionary, (_BYTES, _TABLE, _BYTES, _INTS, _BYTES)),
    (load_dictionary_texts, (_BYTES, _TABLE, _BYTES, _INTS, _INTS, _BYTES)),
    (read_fixed, (_BYTES, _TABLE, _BYTES, _BYTES, _SCRATCH, _INTS, _BYTES, _BYTES, _INT, _INT)),
    (
        read_texts,
        (_BYTES, _TABLE, _BYTES, _BYTES, _INTS, _SCRATCH, _INTS, _INTS, _BYTES, _BYTES, _INT, _INT),
    ),
)
"""Entry points and the types of their arguments: `function.compile(types)` compiles one ahead, or loads it."""
