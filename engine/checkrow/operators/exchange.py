"""Rows change partition: scattered by the hash of their keys, kept in memory or written as one durable file.

Both forms offer the same interface (`ExchangeOutput`): per partition its rows, and the columns of a range of
partitions. File layout (documented byte for byte in docs/format.md)::

    magic "CRX1" | u32 header length | header JSON (names, types, text and null flags)
    segments, one per partition, each 64-byte aligned: u64 lengths of all buffers, then the buffers, 64-byte aligned,
        whole segment lz4 when that is smaller
    footer: per partition int64 offset, stored bytes, plain bytes, rows, crc32 of the stored bytes
    u32 crc32 of all before the segments and of the footer | u64 footer length | magic "CRX1"
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checkrow.errors import CorruptControlFile
from checkrow.expressions import types
from checkrow.operators.column import Column, Columns

Array = NDArray[Any]
MAGIC = b"CRX1"
_ALIGN = 64
_LENGTH_BYTES = 8
_TAIL = struct.Struct("<IQ4s")
_DONE_AGAIN = "run the same command again, which does the task that wrote it again"


class ExchangeOutput(Protocol):
    """What one map task left for the next stage."""

    @property
    def partition_rows(self) -> tuple[int, ...]:
        """Rows per partition."""

    @property
    def partition_bytes(self) -> tuple[int, ...]:
        """Bytes per partition, equal for all forms of the same rows."""

    def partition(self, number: int) -> Columns:
        """Returns the rows of one partition; columns may be narrow (see `Column.widened`)."""


class MemoryExchange(msgspec.Struct, frozen=True):
    """A map task's output that stays in the process."""

    columns: Columns
    starts: Array

    @property
    def partition_rows(self) -> tuple[int, ...]:
        """Rows per partition."""
        return tuple(np.diff(self.starts).tolist())

    @property
    def partition_bytes(self) -> tuple[int, ...]:
        """Bytes per partition in the durable form: later tasks are cut by it, and must be the same either way."""
        rows = np.diff(self.starts)
        buffers = [b for c in self.columns.columns for b in _buffer_bytes(c, self.starts, rows)]
        at = np.full(len(rows), _LENGTH_BYTES * len(buffers))
        for size in buffers:
            at += -at % _ALIGN + size
        return tuple(np.where(rows > 0, at, 0).tolist())

    def partition(self, number: int) -> Columns:
        """Returns the rows of one partition."""
        start, stop = int(self.starts[number]), int(self.starts[number + 1])
        return Columns(self.columns.names, tuple(_slice(c, start, stop) for c in self.columns.columns), stop - start)


def _buffer_bytes(column: Column, starts: Array, rows: Array) -> list[Array]:
    """Returns per buffer of a column its bytes in every partition, in the order in which they are written."""
    if column.offsets is not None:
        values = np.diff(column.offsets[starts])
    else:
        values = rows * column.values.itemsize * (2 if types.is_wide(column.dtype) else 1)
    return [values, *([rows] if column.valid is not None else []),
            *([(rows + 1) * column.offsets.itemsize] if column.offsets is not None else [])]  # fmt: skip


def _slice(column: Column, start: int, stop: int) -> Column:
    valid = None if column.valid is None else column.valid[start:stop]
    if column.offsets is not None:
        offsets = column.offsets[start : stop + 1]
        return Column(column.dtype, column.values[offsets[0] : offsets[-1]], valid, offsets - offsets[0])
    width = 2 if types.is_wide(column.dtype) else 1
    return Column(column.dtype, column.values[width * start : width * stop], valid, base=column.base)


# -- the durable form -----------------------------------------------------------------------------------------------


class _ColumnHeader(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    dtype: str
    text: bool
    nullable: bool
    stored: str = ""  # the narrower type of values that stand above `base`
    base: int = 0


class _Header(msgspec.Struct, frozen=True):
    columns: tuple[_ColumnHeader, ...]
    partitions: int


_FOOTER = np.dtype([("offset", "<i8"), ("stored", "<i8"), ("plain", "<i8"), ("rows", "<i8"), ("crc", "<u4")])


def write_exchange(path: Path, output: MemoryExchange) -> int:
    """Writes a map task's output as one file and returns the crc32 of its footer.

    The caller makes the file durable (see `storage.store`).
    """
    codec = pa.Codec("lz4_raw")
    columns = output.columns
    partitions = len(output.starts) - 1
    headers = tuple(
        _ColumnHeader(
            n,
            c.dtype,
            c.offsets is not None,
            c.valid is not None,
            "" if c.base is None else c.values.dtype.name,
            c.base or 0,
        )
        for n, c in zip(columns.names, columns.columns, strict=True)
    )
    header = msgspec.json.encode(_Header(headers, partitions))
    footer = np.zeros(partitions, _FOOTER)
    with path.open("wb") as file:
        start = MAGIC + struct.pack("<I", len(header)) + header
        file.write(start)
        for number in range(partitions):
            part = output.partition(number)
            plain = _pack_segment(part)
            packed = codec.compress(plain, asbytes=True) if plain else b""
            stored = packed if len(packed) < len(plain) else plain
            file.write(b"\0" * (-file.tell() % _ALIGN))
            footer[number] = (file.tell(), len(stored), len(plain), part.rows, zlib.crc32(stored))
            file.write(stored)
        tail = footer.tobytes()
        crc = zlib.crc32(tail, zlib.crc32(start))
        file.write(tail + _TAIL.pack(crc, len(tail), MAGIC))
    return crc


def _pack_segment(part: Columns) -> bytes:
    """Returns a partition's buffers one after the other, each 64-byte aligned, after their lengths."""
    if not part.rows:
        return b""
    buffers = [np.ascontiguousarray(b) for c in part.columns for b in (c.values, c.valid, c.offsets) if b is not None]
    lengths = np.array([b.nbytes for b in buffers], np.uint64)
    pieces = [lengths.tobytes()]
    at = lengths.nbytes
    for b in buffers:
        pad = -at % _ALIGN
        pieces += [b"\0" * pad, b.tobytes()]
        at += pad + b.nbytes
    return b"".join(pieces)


class FileExchange:
    """A map task's output in a file; reads one range per partition and verifies it.

    A damaged file is set aside as `<name>.damaged`: its manifest holds no longer, so a resume does the task again.

    Raises
    ------
    CorruptControlFile
        When the file is gone or does not hold what its footer says.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _reading(path) as file:
            ends = _read_ends(file)
        if ends is None:
            raise _set_aside(path, "its header or footer is damaged")
        self._header, self._footer = ends

    @property
    def partition_rows(self) -> tuple[int, ...]:
        """Rows per partition."""
        return tuple(self._footer["rows"].tolist())

    @property
    def partition_bytes(self) -> tuple[int, ...]:
        """Bytes per partition before compression."""
        return tuple(self._footer["plain"].tolist())

    def partition(self, number: int) -> Columns:
        """Returns the rows of one partition."""
        entry = self._footer[number]
        with _reading(self._path) as file:
            file.seek(int(entry["offset"]))
            stored = file.read(int(entry["stored"]))
        if len(stored) != entry["stored"] or zlib.crc32(stored) != entry["crc"]:
            raise _set_aside(self._path, f"partition {number} is damaged")
        plain = stored
        if entry["stored"] < entry["plain"]:
            plain = pa.Codec("lz4_raw").decompress(stored, int(entry["plain"]), asbytes=True)
        return _unpack_segment(self._header, plain, int(entry["rows"]))


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """Opens an exchange file; a task beside this one may have set it aside."""
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise CorruptControlFile(f"the exchange file {path} is gone; {_DONE_AGAIN}") from None
    except OSError as error:
        raise CorruptControlFile(f"the exchange file {path} cannot be read: {error.strerror}") from None


def _set_aside(path: Path, reason: str) -> CorruptControlFile:
    """Renames a damaged file, so that no manifest counts on it any more; returns what to raise."""
    try:
        path.rename(path.with_name(f"{path.name}.damaged"))
    except FileNotFoundError:
        pass  # a task beside this one was faster
    except OSError as error:
        return CorruptControlFile(f"the exchange file {path} cannot be used: {reason}; remove it ({error.strerror})")
    return CorruptControlFile(f"the exchange file {path} was set aside: {reason}; {_DONE_AGAIN}")


def _read_ends(file: BinaryIO) -> tuple[_Header, Array] | None:
    """Returns header and footer, or None when they are not what was written."""
    size = file.seek(0, 2)
    if size < len(MAGIC) + 4 + _TAIL.size:
        return None
    file.seek(size - _TAIL.size)
    crc, length, magic = _TAIL.unpack(file.read(_TAIL.size))
    if magic != MAGIC or length % _FOOTER.itemsize or length > size - _TAIL.size:
        return None
    file.seek(size - _TAIL.size - length)
    tail = file.read(length)
    file.seek(0)
    start = file.read(8)
    text = file.read(struct.unpack("<4sI", start)[1])
    if zlib.crc32(tail, zlib.crc32(start + text)) != crc:
        return None
    header = msgspec.json.decode(text, type=_Header)
    footer = np.frombuffer(tail, _FOOTER)
    return (header, footer) if len(footer) == header.partitions else None


def _unpack_segment(header: _Header, plain: bytes, rows: int) -> Columns:
    names = tuple(c.name for c in header.columns)
    if not rows:
        return Columns(names, tuple(_empty(c) for c in header.columns), 0)
    count = sum(1 + c.nullable + c.text for c in header.columns)
    lengths = np.frombuffer(plain, np.uint64, count)
    at, index = lengths.nbytes, 0

    def next_buffer(dtype: np.dtype[Any]) -> Array:
        nonlocal at, index
        at += -at % _ALIGN
        out = np.frombuffer(plain, dtype, int(lengths[index]) // dtype.itemsize, at)
        at += int(lengths[index])
        index += 1
        return out

    columns = []
    for c in header.columns:
        values = next_buffer(np.dtype(c.stored) if c.stored else types.numpy_dtype(c.dtype))
        valid = next_buffer(np.dtype("u1")) if c.nullable else None
        offsets = next_buffer(np.dtype("i8")) if c.text else None
        columns.append(Column(c.dtype, values, valid, offsets, base=c.base if c.stored else None))
    return Columns(names, tuple(columns), rows)


def _empty(column: _ColumnHeader) -> Column:
    offsets = np.zeros(1, np.int64) if column.text else None
    valid = np.empty(0, np.uint8) if column.nullable else None
    return Column(column.dtype, np.empty(0, types.numpy_dtype(column.dtype)), valid, offsets)
