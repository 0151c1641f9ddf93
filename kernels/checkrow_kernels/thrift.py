"""Page headers of a Parquet column chunk: Thrift's compact protocol, read into one table of integers.

What a header says is checked here against the chunk alone: sizes are not negative and bodies lie inside it. Whether the
encodings and sizes are ones that are decoded here is `page_opening`'s matter.

Sources: Thrift compact protocol specification; `PageHeader` in parquet.thrift of the Parquet format.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.jit import inline_kernel, kernel
from checkrow_kernels.words import load_word

Array = NDArray[Any]

PADDING = 64
"""Spare bytes that every byte array has after its content: words are loaded and stored whole."""

CORRUPT_HEADER = -1
UNSUPPORTED_HEADER = -2
DIRECTORY_FULL = -3
BAD_ARGUMENT = -4

# Columns of the directory.
KIND = 0
UNCOMPRESSED_BYTES = 1
COMPRESSED_BYTES = 2
CRC = 3
VALUES = 4
ENCODING = 5
LEVEL_ENCODING = 6
DEFINITION_BYTES = 7
REPETITION_BYTES = 8
IS_COMPRESSED = 9
BODY = 10
FIELDS = 11

# Kinds of pages.
DATA_PAGE = 0
DICTIONARY_PAGE = 2
DATA_PAGE_V2 = 3

_ABSENT = -1
_NO_CRC = -(2**62)  # while a header is read: -1 is a checksum
_LARGEST = 2**31 - 1
_LOW_BYTE = np.uint64(0xFF)
_LOW_BITS = np.uint64(0x7F)
_POSITIVE = np.uint64(2**63 - 1)
_LONGEST_VARINT = 10

_STOP, _TRUE, _FALSE, _BYTE, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 0, 1, 2, 3, 6, 7, 8, 9, 10, 12
_ELEMENT_SIZES = np.array([-1, 1, 1, 1, 0, 0, 0, 8, 0, -1, -1, -1, -1, -1, -1, -1])  # 0: of its own length; -1: nested


def _columns() -> Array:
    """Returns the directory's column of each integer field, by the struct that holds it (0: the header itself)."""
    table = np.full((9, 16), _ABSENT)
    table[0, 1:5] = KIND, UNCOMPRESSED_BYTES, COMPRESSED_BYTES, CRC
    table[5, 1:4] = VALUES, ENCODING, LEVEL_ENCODING
    table[7, 1:3] = VALUES, ENCODING
    table[8, 1], table[8, 4:8] = VALUES, (ENCODING, DEFINITION_BYTES, REPETITION_BYTES, IS_COMPRESSED)
    return table


_COLUMNS = _columns()


@inline_kernel
def byte_at(data: Array, at: Any) -> Any:
    """Returns one byte as int64; a whole word is loaded, which LLVM narrows."""
    return np.int64(load_word(data, at) & _LOW_BYTE)


@inline_kernel
def read_varint(data: Array, at: Any, stop: Any) -> tuple[Any, Any]:
    """Returns a variable-length integer (its low 63 bits) and the position after it, or -1 where it has no end."""
    if at >= stop:
        return np.int64(0), np.int64(-1)
    byte = byte_at(data, at)
    if byte < 128:
        return byte, np.int64(at + 1)
    value = np.uint64(0)
    for i in range(min(_LONGEST_VARINT, stop - at)):
        byte = byte_at(data, at + i)
        value |= (np.uint64(byte) & _LOW_BITS) << np.uint64(7 * i)
        if byte < 128:
            return np.int64(value & _POSITIVE), np.int64(at + i + 1)
    return np.int64(0), np.int64(-1)


@inline_kernel
def _skip_scalar(data: Array, at: Any, stop: Any, kind: Any) -> Any:
    """Returns the position after a value of a list, or of a field that is no container, or a status."""
    size = np.int64(_ELEMENT_SIZES[np.uint64(kind)])
    if size < 0:
        return np.int64(UNSUPPORTED_HEADER)
    if size == 0:
        length, at = read_varint(data, at, stop)
        if at < 0:
            return np.int64(CORRUPT_HEADER)
        size = length if kind == _BINARY else np.int64(0)
    return at + size if size <= stop - at else np.int64(CORRUPT_HEADER)


@inline_kernel
def _skip_list(data: Array, at: Any, stop: Any) -> Any:
    """Returns the position after a list or set of values that are no containers, or a status."""
    if at >= stop:
        return np.int64(CORRUPT_HEADER)
    byte = byte_at(data, at)
    at += 1
    count, kind = byte >> 4, byte & 15
    if count == 15:
        count, at = read_varint(data, at, stop)
    if at < 0 or count > stop - at:  # each takes a byte at least, so the loop is bounded by the chunk
        return np.int64(CORRUPT_HEADER)
    for _ in range(count):
        at = _skip_scalar(data, at, stop, kind)
        if at < 0:
            break
    return at


@inline_kernel
def _skip_value(data: Array, at: Any, stop: Any, kind: Any) -> Any:
    """Returns the position after a field's value that is no struct, or a status."""
    if kind in (_TRUE, _FALSE):
        return np.int64(at)
    if kind in (_LIST, _SET):
        return _skip_list(data, at, stop)
    return _skip_scalar(data, at, stop, kind)


@inline_kernel
def _field_header(data: Array, at: Any, stop: Any, last: Any) -> tuple[Any, Any, Any]:
    """Returns a field's number, its kind, and the position after; number -1 where there is none."""
    if at >= stop:
        return np.int64(-1), np.int64(0), np.int64(at)
    byte = byte_at(data, at)
    at += 1
    number = last + (byte >> 4)
    if byte >> 4 == 0 and byte & 15:
        zigzag, at = read_varint(data, at, stop)
        number = zigzag >> 1
        if at < 0 or zigzag & 1:
            return np.int64(-1), np.int64(0), np.int64(at)
    return np.int64(number), np.int64(byte & 15), np.int64(at)


@inline_kernel
def _skip_struct(data: Array, at: Any, stop: Any) -> Any:
    """Returns the position after a struct, its inner structs included, or a status.

    Nothing but the depth has to be remembered, as lists of structs (which no version of the format has in a page
    header) are refused.
    """
    depth = 1
    while depth > 0:
        number, kind, at = _field_header(data, at, stop, 0)
        if number < 0:
            return np.int64(CORRUPT_HEADER)
        if kind == _STOP:
            depth -= 1
        elif kind == _STRUCT:
            depth += 1
        else:
            at = _skip_value(data, at, stop, kind)
            if at < 0:
                break
    return np.int64(at)


@inline_kernel
def _read_field(data: Array, at: Any, stop: Any, kind: Any, out: Array, page: Any, column: Any) -> Any:
    """Writes an integer or truth value to its column, skips anything else; returns the position after, or a status."""
    if column < 0 or not _TRUE <= kind <= _I64:
        return _skip_value(data, at, stop, kind)
    if kind <= _FALSE:
        out[page, column] = kind == _TRUE
        return np.int64(at)
    if kind == _BYTE:
        return np.int64(UNSUPPORTED_HEADER)
    zigzag, at = read_varint(data, at, stop)
    out[page, column] = (zigzag >> 1) ^ -(zigzag & 1)
    return np.int64(at) if at >= 0 else np.int64(CORRUPT_HEADER)


@inline_kernel
def _read_header(data: Array, at: Any, stop: Any, out: Array, page: Any) -> Any:
    """Writes one header to row `page`; returns the position after it, or a status.

    Fields may come in any order; the three inner structs with figures are read, all others skipped.
    """
    section, last, outer = np.int64(0), np.int64(0), np.int64(0)
    while at >= 0:
        last, kind, at = _field_header(data, at, stop, last)
        if last < 0 or at < 0:
            return np.int64(CORRUPT_HEADER)
        if kind == _STOP:
            if section == 0:
                break
            section, last = np.int64(0), outer
        elif kind == _STRUCT:
            if section == 0 and last in (5, 7, 8):
                section, last, outer = last, np.int64(0), last
            else:
                at = _skip_struct(data, at, stop)
        else:
            column = _COLUMNS[section, last] if last < 16 else np.int64(_ABSENT)
            at = _read_field(data, at, stop, kind, out, page, column)
    return np.int64(at)


@inline_kernel
def _sound(out: Array, page: Any, stop: Any) -> Any:
    """Returns whether the sizes of a header agree with each other and with the bytes that are there."""
    packed, plain = out[page, COMPRESSED_BYTES], out[page, UNCOMPRESSED_BYTES]
    if not (0 <= packed <= stop - out[page, BODY] and 0 <= plain <= _LARGEST and out[page, VALUES] <= _LARGEST):
        return False
    definition, repetition = out[page, DEFINITION_BYTES], out[page, REPETITION_BYTES]
    if not (0 <= definition <= packed and 0 <= repetition <= packed):  # before the sum, which might wrap
        return False
    return definition + repetition <= min(packed, plain)


@inline_kernel
def _listed(kind: Any) -> Any:
    return kind in (DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2)


@kernel
def list_pages(chunk: Array, size: int, out: Array) -> int:
    """Reads the headers of all pages of a column chunk.

    Parameters
    ----------
    chunk : ndarray, shape (>= size + PADDING,), uint8
        The chunk's bytes from the first page header (the dictionary's, where there is one).
    size : int
        `total_compressed_size` of the chunk.
    out : ndarray, shape (capacity, FIELDS), int64
        A row per page, in the order of the file: KIND (DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_V2), UNCOMPRESSED_BYTES
        and COMPRESSED_BYTES (of the body, levels included), CRC (unsigned, -1 if absent), VALUES (nulls included),
        ENCODING, LEVEL_ENCODING (of definition levels, v1 only), DEFINITION_BYTES, REPETITION_BYTES and IS_COMPRESSED
        (v2 only), BODY (where the header ends). Pages of other kinds are left out, as the format asks.

    Returns
    -------
    int
        Number of pages, or CORRUPT_HEADER, UNSUPPORTED_HEADER, DIRECTORY_FULL (a larger `out` is needed) or
        BAD_ARGUMENT.

    Notes
    -----
    O(bytes of headers): bodies are jumped over. Sources: see the module.
    """
    if size < 0 or size + PADDING > len(chunk) or out.shape[1] != FIELDS:
        return BAD_ARGUMENT
    at, pages = np.int64(0), 0
    while at < size:
        if pages >= out.shape[0]:
            return DIRECTORY_FULL
        for column in range(FIELDS):
            out[pages, column] = _ABSENT
        out[pages, CRC] = _NO_CRC
        out[pages, DEFINITION_BYTES] = 0
        out[pages, REPETITION_BYTES] = 0
        out[pages, IS_COMPRESSED] = 1
        at = _read_header(chunk, at, size, out, pages)
        if at < 0:
            return int(at)
        out[pages, BODY] = at
        out[pages, CRC] = out[pages, CRC] & 0xFFFFFFFF if out[pages, CRC] != _NO_CRC else _ABSENT
        if not _sound(out, pages, size):
            return CORRUPT_HEADER
        at += out[pages, COMPRESSED_BYTES]
        if _listed(out[pages, KIND]):
            if out[pages, VALUES] < 0:
                return CORRUPT_HEADER
            pages += 1
    return pages
