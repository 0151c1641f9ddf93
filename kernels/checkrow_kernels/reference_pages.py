"""Slow references of what is done with Parquet pages as a whole: zlib."""

from __future__ import annotations

import zlib
from typing import Any

from checkrow_kernels import crc, thrift

Array = Any


def crc32(data: Array, start: int, stop: int) -> int:
    """Asks zlib."""
    return zlib.crc32(data[start:stop].tobytes())


def check_pages(chunk: Array, directory: Array, pages: int) -> int:
    """Asks zlib for each page that has a checksum."""
    said = [page for page in directory[:pages].tolist() if page[thrift.CRC] >= 0]
    found = [crc32(chunk, p[thrift.BODY], p[thrift.BODY] + p[thrift.COMPRESSED_BYTES]) for p in said]
    return len(said) if found == [p[thrift.CRC] for p in said] else crc.WRONG_CRC
