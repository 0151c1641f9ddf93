"""The state of a column chunk while it is decoded, and the words of the decoder: codecs, encodings, forms, statuses.

The state is one array of integers, so that machine code can leave a chunk in the middle of a page or of a run and come
back. `page_opening.open_chunk` fills it, `page_fixed.read_fixed` and `page_texts.read_texts` move it.

The invariant of the whole decoder: nothing outside the given arrays is read or written, whatever the chunk's bytes are.
All positions are checked against the page's or the output's end before they are used, words reach over an end by less
than PADDING, and codes are below the dictionary's length before it is asked. Damage that can be seen is a negative
status, after which the state is of no use; only DIRECTORY_FULL, BUFFERS_FULL and TEXTS_FULL ask for more room.

Source: the Parquet format, "Data Pages", "Encodings".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels import crc, rle, snappy, thrift
from checkrow_kernels.jit import inline_kernel
from checkrow_kernels.rle import BLOCK, CURSOR, SPARE
from checkrow_kernels.thrift import FIELDS

Array = NDArray[Any]

CORRUPT_VALUES = -11
PAGE_TOO_LARGE = -12
UNSUPPORTED_ENCODING = -13
TEXTS_FULL = -14
BUFFERS_FULL = -15
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
    BUFFERS_FULL: "a buffer is too short for a page or the dictionary; the state says how long they must be",
    MISPLACED_DICTIONARY: "the dictionary page is missing or not the first",
    IMPLAUSIBLE_SIZE: "a size or number of values differs from what the chunk can hold",
    CHUNK_ENDED: "the chunk has fewer rows than asked for",
}

REFUSALS = frozenset(
    {
        thrift.CORRUPT_HEADER,
        thrift.UNSUPPORTED_HEADER,
        thrift.BAD_ARGUMENT,
        UNSUPPORTED_ENCODING,
        MISPLACED_DICTIONARY,
        IMPLAUSIBLE_SIZE,
    }
)
"""What `open_chunk` finds in the page headers: whether it is damage or only not decoded here is for others to say."""

UNCOMPRESSED, SNAPPY = 0, 1
PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY = 0, 2, 3, 8

FOUR_BYTES, EIGHT_BYTES, WIDENED, CODES, TEXTS = range(5)
"""Forms of the output: INT32 or FLOAT, INT64 or DOUBLE, INT32 as int64, BYTE_ARRAY as codes or as texts."""

# The state: constants of the chunk, where reading stands, what the buffers must hold, and two cursors with a place to
# save each.
PAGES, CODEC, OPTIONAL, FORM, ENTRIES, LONGEST, PAGE, ROWS_LEFT, PAGE_ENCODING, NEXT_ROW, NULLS = range(11)
PAGE_BYTES, DICTIONARY_BYTES, OFFSETS = range(11, 14)
VALUE_CURSOR = 14
LEVEL_CURSOR = VALUE_CURSOR + CURSOR
SAVED = 2 * CURSOR
STATE_LENGTH = VALUE_CURSOR + 4 * CURSOR
CODES_LENGTH = BLOCK + SPARE


def begin(codec: int, form: int, optional: bool) -> Array:
    """Returns the state of a chunk that `open_chunk` has not seen yet.

    Parameters
    ----------
    codec : int
        UNCOMPRESSED or SNAPPY.
    form : int
        FOUR_BYTES (INT32, FLOAT), EIGHT_BYTES (INT64, DOUBLE), WIDENED (INT32 as int64), CODES or TEXTS (BYTE_ARRAY).
    optional : bool
        Whether the column's only definition level is 1, so that it may have nulls.

    Returns
    -------
    ndarray, shape (STATE_LENGTH,), int64
        [PAGES] is the number of pages, [FORM] the form that comes out, [ENTRIES] the dictionary's length and [LONGEST]
        the bytes of its longest text; [PAGE_BYTES], [DICTIONARY_BYTES] and [OFFSETS] are what the buffers must hold;
        [PAGE] is the page to open next, [ROWS_LEFT] the rows left in the open one, [NEXT_ROW] the row of the output
        after the last one written and [NULLS] the nulls among the rows of the last call.
    """
    state = np.zeros(STATE_LENGTH, np.int64)
    state[CODEC], state[FORM], state[OPTIONAL] = codec, form, optional
    return state


@inline_kernel
def width(form: Any) -> Any:
    """Returns the bytes of a value of a fixed-width form."""
    return 8 if form in (EIGHT_BYTES, WIDENED) else 4


@inline_kernel
def is_text(form: Any) -> Any:
    """Returns whether a form is one of BYTE_ARRAY."""
    return form in (CODES, TEXTS)


@inline_kernel
def is_coded(encoding: Any) -> Any:
    """Returns whether a page's values are codes of the dictionary."""
    return encoding in (PLAIN_DICTIONARY, RLE_DICTIONARY)


@inline_kernel
def consistent(directory: Array, codes: Array, state: Array, valid: Array, start: Any, stop: Any) -> Any:
    """Returns whether the arrays are long enough for what all readers do with them."""
    if len(state) != STATE_LENGTH or directory.shape[1] != FIELDS or len(codes) < CODES_LENGTH:
        return False
    if not (state[PAGE] >= 0 and state[PAGES] <= directory.shape[0] and 0 <= start <= stop):
        return False
    return state[OPTIONAL] == 0 or stop <= len(valid)
