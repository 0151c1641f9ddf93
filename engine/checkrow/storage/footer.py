"""Reading decimals as the integers they are stored as: a Parquet footer with their annotation taken off.

pyarrow decodes an int64-stored decimal into 16 bytes per value, which checkrow would squeeze back into 8. Removing the
annotation from the schema elements makes it decode plain integers: less work for the same values. Only the schema list
at the head of the footer is parsed (Thrift compact protocol); row groups are passed on byte for byte.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

_MAGIC = b"PAR1"
_ARROW_KEY = b"ARROW:schema"
_INT32, _INT64 = 1, 2
_DECIMAL = 5
_STRUCT, _LIST, _SET, _MAP, _BINARY = 12, 9, 10, 11, 8
_FIXED = {1: 0, 2: 0, 3: 1, 7: 8}
_ANNOTATIONS = {6, 7, 8, 10}


class PlainFooter(msgspec.Struct, frozen=True):
    """A footer to read with, and the (precision, scale) of the columns that it shows as plain integers."""

    metadata: pq.FileMetaData
    decimals: dict[str, tuple[int, int]]


def plain_footer(path: Path, wanted: Iterable[str]) -> PlainFooter | None:
    """Returns a footer without the decimal annotation of integer-stored columns, or None when there is no such column.

    Any footer this reader does not know its way through counts as one without such columns: pyarrow then reads it.
    """
    stat = path.stat()
    return _plain_footer(path, (stat.st_mtime_ns, stat.st_size, stat.st_ino), frozenset(wanted))


@lru_cache(maxsize=64)
def _plain_footer(path: Path, _version: tuple[int, int, int], wanted: frozenset[str]) -> PlainFooter | None:
    """Does the work of `plain_footer` once per version of a file: many tasks read slices of the same one."""
    footer = _read_footer(path)
    if footer is None:
        return None
    try:
        head, end, decimals = _rewrite(footer, set(wanted))
    except (IndexError, ValueError, struct.error):
        return None
    if not decimals:
        return None
    # Without its annotation a column must not be promised as a decimal elsewhere: the Arrow schema is renamed away.
    rest = footer[end:].replace(_ARROW_KEY, b"XRROW:schema")
    whole = head + rest
    image = _MAGIC + whole + struct.pack("<I", len(whole)) + _MAGIC
    try:
        return PlainFooter(pq.read_metadata(pa.BufferReader(image)), decimals)
    except (pa.ArrowException, OSError):
        return None


def _read_footer(path: Path) -> bytes | None:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < 12:
            return None
        file.seek(size - 8)
        length, magic = struct.unpack("<I4s", file.read(8))
        if magic != _MAGIC or length + 12 > size:
            return None
        file.seek(size - 8 - length)
        return file.read(length)


class _Reader:
    """A cursor over Thrift compact bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def zigzag(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def field(self, previous: int) -> tuple[int, int]:
        """Returns (type, field id); type 0 ends a struct."""
        head = self.byte()
        if head == 0:
            return 0, 0
        delta = head >> 4
        return head & 0x0F, previous + delta if delta else self.zigzag()

    def list_head(self) -> tuple[int, int]:
        """Returns (element type, size)."""
        head = self.byte()
        size = head >> 4
        return head & 0x0F, self.varint() if size == 15 else size

    def skip(self, kind: int) -> None:
        if kind in _FIXED:
            self.at += _FIXED[kind]
        elif kind in {4, 5, 6}:
            self.varint()
        elif kind == _BINARY:
            length = self.varint()
            self.at += length
        elif kind in {_LIST, _SET}:
            element, size = self.list_head()
            for _ in range(size):
                self.skip(element)
        elif kind == _STRUCT:
            while (found := self.field(0)[0]) != 0:
                self.skip(found)
        else:
            raise ValueError(f"unexpected Thrift type {kind}")


class _Element(msgspec.Struct):
    """A schema element: its fields as raw bytes, and what decides its fate."""

    fields: list[tuple[int, int, bytes]]
    name: str = ""
    physical: int = -1
    converted: int = -1
    scale: int = 0
    precision: int = 0


def _rewrite(footer: bytes, wanted: set[str]) -> tuple[bytes, int, dict[str, tuple[int, int]]]:
    """Returns (new head, where the rest of the footer begins, decimals by name)."""
    reader = _Reader(footer)
    kind, number = reader.field(0)
    if (kind, number) != (5, 1):
        raise ValueError("a footer begins with its version")
    reader.varint()
    kind, number = reader.field(number)
    if (kind, number) != (_LIST, 2):
        raise ValueError("the schema follows the version")
    start = reader.at
    element, size = reader.list_head()
    if element != _STRUCT:
        raise ValueError("the schema is a list of structs")
    head_end = reader.at
    elements = [_element(reader) for _ in range(size)]
    decimals = {
        e.name: (e.precision, e.scale)
        for e in elements
        if e.converted == _DECIMAL and e.physical in {_INT32, _INT64} and e.name in wanted
    }
    body = b"".join(_encode(e, plain=e.name in decimals and e.converted == _DECIMAL) for e in elements)
    return footer[:start] + footer[start:head_end] + body, reader.at, decimals


def _element(reader: _Reader) -> _Element:
    made = _Element([])
    number = 0
    while True:
        kind, number = reader.field(number)
        if kind == 0:
            return made
        begin = reader.at
        if number == 4:
            length = reader.varint()
            made.name = reader.data[reader.at : reader.at + length].decode()
            reader.at += length
        elif number in {1, 6, 7, 8}:
            value = reader.zigzag()
            if number == 1:
                made.physical = value
            elif number == 6:
                made.converted = value
            elif number == 7:
                made.scale = value
            else:
                made.precision = value
        else:
            reader.skip(kind)
        made.fields.append((kind, number, reader.data[begin : reader.at]))


def _encode(element: _Element, *, plain: bool) -> bytes:
    """Returns a schema element's bytes, without the annotation when it is to be plain."""
    out = bytearray()
    previous = 0
    for kind, number, raw in element.fields:
        if plain and number in _ANNOTATIONS:
            continue
        out.append((number - previous) << 4 | kind)
        out += raw
        previous = number
    out.append(0)
    return bytes(out)
