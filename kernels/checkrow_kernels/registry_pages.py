"""Rows of the table of kernels: checksums of Parquet pages."""

from __future__ import annotations

import numpy as np

from checkrow_kernels import crc, thrift
from checkrow_kernels import reference_pages as reference
from checkrow_kernels.kernel_info import Arguments, KernelInfo

_CRC = "Kounavis & Berry, IEEE Transactions on Computers, 2008"


def _checked_pages(rng: np.random.Generator, rows: int) -> Arguments:
    """Three pages of a chunk, the middle one without a checksum; for 7 rows the last one's is wrong."""
    chunk = rng.integers(0, 256, 3 * rows + thrift.PADDING).astype(np.uint8)
    directory = np.zeros((3, thrift.FIELDS), np.int64)
    directory[:, thrift.BODY] = np.arange(3) * rows
    directory[:, thrift.COMPRESSED_BYTES] = rows
    for page in range(3):
        directory[page, thrift.CRC] = reference.crc32(chunk, page * rows, (page + 1) * rows)
    directory[1, thrift.CRC] = -1
    directory[2, thrift.CRC] ^= rows == 7
    return chunk, directory, 3


PAGES = (
    KernelInfo(
        name="crc32", function=crc.crc32, reference=reference.crc32, cost="O(bytes)", source=_CRC,
        example=lambda r, n: (r.integers(0, 256, n + 3 + thrift.PADDING).astype(np.uint8), 3, n + 3),
    ),
    KernelInfo(
        name="check_pages", function=crc.check_pages, reference=reference.check_pages, cost="O(bytes)", source=_CRC,
        example=_checked_pages,
    ),
)  # fmt: skip
