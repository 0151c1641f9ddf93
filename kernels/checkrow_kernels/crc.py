"""Checksums of Parquet pages: CRC-32 with the polynomial of gzip, over a page's bytes as they lie in the file.

Sources: the Parquet format, "Checksumming"; slicing-by-16 after Kounavis & Berry, "Novel Table Lookup-Based Algorithms
for High-Performance CRC Generation", IEEE Transactions on Computers, 2008.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.jit import inline_kernel, kernel
from checkrow_kernels.thrift import BAD_ARGUMENT, BODY, COMPRESSED_BYTES, CRC, FIELDS, PADDING, byte_at
from checkrow_kernels.words import load_word

Array = NDArray[Any]

WRONG_CRC = -5

_LOW = np.uint64(0xFF)
_ALL = np.uint64(0xFFFFFFFF)
_EIGHT = np.uint64(8)


def _tables() -> Array:
    """Returns table t at [t * 256 + byte]: the checksum of that byte with t zero bytes after it."""
    tables = np.zeros((16, 256), np.uint64)
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
        tables[0, byte] = crc
    for t in range(1, 16):
        tables[t] = tables[t - 1] >> np.uint64(8) ^ tables[0][tables[t - 1] & np.uint64(0xFF)]
    return tables.astype(np.uint32).reshape(-1)


_TABLES = _tables()


@inline_kernel
def _entry(table: int, word: Any, byte: int) -> Any:
    return np.uint64(_TABLES[np.uint64(256 * table) + (word >> np.uint64(8 * byte) & _LOW)])


@inline_kernel
def _eight(word: Any, base: int) -> Any:
    """Returns the share of eight bytes after which `base` more come."""
    return (
        _entry(base + 7, word, 0) ^ _entry(base + 6, word, 1) ^ _entry(base + 5, word, 2) ^ _entry(base + 4, word, 3)
        ^ _entry(base + 3, word, 4) ^ _entry(base + 2, word, 5) ^ _entry(base + 1, word, 6) ^ _entry(base, word, 7)
    )  # fmt: skip


@inline_kernel
def crc32(data: Array, start: Any, stop: Any) -> Any:
    """Returns the CRC-32 of `data[start:stop]`, sixteen bytes a step; PADDING bytes follow in the array."""
    crc = _ALL
    at = start
    while at + 16 <= stop:
        crc = _eight(load_word(data, at) ^ crc, 8) ^ _eight(load_word(data, at + 8), 0)
        at += 16
    while at < stop:
        crc = _entry(0, crc ^ np.uint64(byte_at(data, at)), 0) ^ crc >> _EIGHT
        at += 1
    return np.int64(crc ^ _ALL)


@kernel
def check_pages(chunk: Array, directory: Array, pages: int) -> int:
    """Compares the checksums of pages that have one with their bytes.

    Parameters
    ----------
    chunk : ndarray, uint8
        The column chunk, with PADDING bytes after it.
    directory : ndarray, shape (>= pages, FIELDS), int64
        What `list_pages` wrote.
    pages : int
        Number of pages.

    Returns
    -------
    int
        Number of pages that had a checksum, or WRONG_CRC, or BAD_ARGUMENT.

    Notes
    -----
    O(compressed bytes). Sources: see the module.
    """
    if pages > directory.shape[0] or directory.shape[1] != FIELDS:
        return BAD_ARGUMENT
    checked = 0
    for page in range(pages):
        if directory[page, CRC] < 0:
            continue
        start, length = directory[page, BODY], directory[page, COMPRESSED_BYTES]
        if start < 0 or length < 0 or start > len(chunk) - PADDING or length > len(chunk) - PADDING - start:
            return BAD_ARGUMENT
        if crc32(chunk, start, start + length) != directory[page, CRC]:
            return WRONG_CRC
        checked += 1
    return checked
