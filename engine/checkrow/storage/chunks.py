"""Column chunks of local Parquet files, decoded by our own kernels into arrays.

pyarrow decodes everything; the kernels of `checkrow_kernels.pages` decode flat columns of the common types, encodings
and codecs, about twice as fast. What they do not take is refused here, before any value is delivered, and read by
pyarrow: from the footer alone, or once the page headers are known. Both deliver the same values.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from checkrow.errors import CorruptInput
from checkrow_kernels import pages
from checkrow_kernels.crc import check_pages
from checkrow_kernels.thrift import (
    CRC,
    DICTIONARY_PAGE,
    DIRECTORY_FULL,
    FIELDS,
    KIND,
    PADDING,
    UNCOMPRESSED_BYTES,
    VALUES,
    page_directory,
)

Array = NDArray[Any]
Encode = Callable[[Array, Array], Array]
"""Gives codes (int32) for texts: offsets and bytes."""
_CODECS = {"UNCOMPRESSED": pages.UNCOMPRESSED, "SNAPPY": pages.SNAPPY}
_ENCODINGS = {"PLAIN", "RLE", "BIT_PACKED", "PLAIN_DICTIONARY", "RLE_DICTIONARY"}
_UNITS = {"s": "", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_PAGE_BYTES = 16 << 10
"""A page is rarely smaller; how many pages a chunk of some size may have is guessed from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A column chunk our kernels may take: where it stands, how it is stored, what its values are in NumPy."""

    name: str
    offset: int
    size_bytes: int
    rows: int
    codec: int
    form: int
    optional: bool
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Some rows of a column: values, or codes, or the bytes of texts with their offsets; validity by row, or None."""

    values: Array
    valid: Array | None = None
    offsets: Array | None = None
    is_code: bool = False


def chunk_of(
    group: pq.RowGroupMetaData, schema: pq.ParquetSchema, place: int, field: pa.Field, *, plain: bool
) -> Chunk | None:
    """Returns a column chunk, or None when its footer says that pyarrow has to read it.

    Parameters
    ----------
    group : pyarrow.parquet.RowGroupMetaData
    schema : pyarrow.parquet.ParquetSchema
    place : int
        The column's number in both.
    field : pyarrow.Field
        The column as pyarrow would deliver it.
    plain : bool
        Whether a decimal is wanted as the integers it is stored as.
    """
    column, declared = group.column(place), schema.column(place)
    flat = declared.max_repetition_level == 0 and declared.max_definition_level <= 1 and declared.path == field.name
    if not flat or column.compression not in _CODECS or not set(column.encodings) <= _ENCODINGS:
        return None
    found = _form(declared, field.type, plain=plain)
    if found is None:
        return None
    start = column.data_page_offset
    if column.has_dictionary_page and column.dictionary_page_offset is not None:
        start = min(start, column.dictionary_page_offset)
    return Chunk(
        name=field.name, offset=start, size_bytes=column.total_compressed_size, rows=group.num_rows,
        codec=_CODECS[column.compression], form=found[0], optional=declared.max_definition_level == 1,
        dtype=np.dtype(found[1]),
    )  # fmt: skip


def _form(declared: pq.ColumnSchema, dtype: pa.DataType, *, plain: bool) -> tuple[int, str] | None:
    """Returns how a column is decoded and the NumPy type of its values, None for one that is not."""
    match declared.physical_type:
        case "FLOAT" if pa.types.is_float32(dtype):
            return pages.FOUR_BYTES, "f4"
        case "DOUBLE" if pa.types.is_float64(dtype):
            return pages.EIGHT_BYTES, "f8"
        case "INT32" if plain:
            return pages.WIDENED, "i8"
        case "INT64" if plain or pa.types.is_int64(dtype):
            return pages.EIGHT_BYTES, "i8"
        case "INT64" if pa.types.is_uint64(dtype):
            return pages.EIGHT_BYTES, "u8"
        case "INT64" if pa.types.is_timestamp(dtype) and f'"{_UNITS[dtype.unit]}"' in declared.logical_type.to_json():
            return pages.EIGHT_BYTES, "i8"
        case "INT32" if pa.types.is_date32(dtype):
            return pages.FOUR_BYTES, "i4"
        case "INT32" if pa.types.is_integer(dtype) and dtype.bit_width <= 32:
            return pages.FOUR_BYTES, f"{'i' if pa.types.is_signed_integer(dtype) else 'u'}{dtype.bit_width // 8}"
        case "BYTE_ARRAY" if _is_text(dtype.value_type if pa.types.is_dictionary(dtype) else dtype):
            return pages.TEXTS, "u1"
    return None


def _is_text(kind: pa.DataType) -> bool:
    """Tells whether a type is text or bytes in one of Arrow's layouts."""
    kinds = pa.types
    text = kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind)
    return bool(text or kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_binary_view(kind))


class Buffers:
    """Byte arrays of a column that are used for one row group after the other; they only grow."""

    def __init__(self) -> None:
        self._held: dict[str, Array] = {}

    def room(self, use: str, size_bytes: int) -> Array:
        """Returns an array with room for so many bytes and PADDING; what stood in it is lost."""
        held = self._held.get(use)
        if held is None or len(held) < size_bytes + PADDING:
            held = self._held[use] = _room(size_bytes + size_bytes // 4 + PADDING)
        return held


class ChunkReader:
    """Delivers the rows of one column chunk, batch after batch.

    Parameters
    ----------
    descriptor : int
        The open file.
    chunk : Chunk
    buffers : Buffers
        Of the column; only one reader of it is in use at a time.
    encode : callable or None
        For text that is wanted as codes: gives the codes of the chunk's dictionary.
    where : str
        What messages call the row group.

    Raises
    ------
    CorruptInput
        If the chunk is damaged.

    Notes
    -----
    `refused` says why pyarrow has to read the chunk after all; nothing was delivered then.
    """

    def __init__(self, descriptor: int, chunk: Chunk, buffers: Buffers, encode: Encode | None, where: str) -> None:
        self._chunk = chunk
        self._buffers = buffers
        self._encode = encode
        self._where = where
        self._form = chunk.form
        self._is_code = False
        self._bytes = self._read(descriptor)
        self.refused = self._list_pages()
        if not self.refused:
            if (self._directory[:, CRC] >= 0).any():
                self._check(check_pages(self._bytes, self._directory, len(self._directory)))
            self._begin()

    def _read(self, descriptor: int) -> Array:
        """Returns the chunk's bytes."""
        size = self._chunk.size_bytes
        out = self._buffers.room("chunk", size)
        view, done = memoryview(out.data)[:size], 0
        while done < size:
            got = os.preadv(descriptor, [view[done:]], self._chunk.offset + done)
            if not got:
                name = self._chunk.name
                raise CorruptInput(f"{self._where} cannot be decoded: the file ends inside column {name!r}")
            done += got
        return out

    def _list_pages(self) -> str:
        """Reads the page headers; returns why pyarrow has to read the chunk, or nothing."""
        chunk, room, found = self._chunk, 4 + self._chunk.size_bytes // _PAGE_BYTES, DIRECTORY_FULL
        while found == DIRECTORY_FULL:
            table = np.empty((room, FIELDS), np.int64)
            found = page_directory(self._bytes, chunk.size_bytes, table)
            room *= 8
        if found < 0:
            return pages.STATUS[found]  # whether a header is damaged or new is for pyarrow to say
        self._directory = table[:found]
        if self._encode is not None and not self._refusal(pages.CODES):
            self._form = pages.CODES  # else a dictionary grew too large, and later pages hold texts
        return self._refusal(self._form)

    def _refusal(self, form: int) -> str:
        chunk = self._chunk
        return pages.refusal(self._directory, form, chunk.codec, chunk.optional, chunk.rows)

    def _begin(self) -> None:
        directory, chunk, buffers = self._directory, self._chunk, self._buffers
        self._page = buffers.room("page", int(directory[:, UNCOMPRESSED_BYTES].max(initial=0)))
        self._codes = buffers.room("codes", 4 * pages.CODES_LENGTH).view(np.uint32)
        self._state = pages.begin(len(directory), chunk.codec, self._form, chunk.optional)
        has_dictionary = len(directory) > 0 and directory[0, KIND] == DICTIONARY_PAGE
        entries, size = (int(directory[0, VALUES]), int(directory[0, UNCOMPRESSED_BYTES])) if has_dictionary else (0, 0)
        shared = (self._bytes, directory, self._page, self._state)
        self._words, self._offsets = buffers.room("words", size), np.zeros(entries + 1, np.int64)
        self._dictionary = self._words
        if self._form not in {pages.CODES, pages.TEXTS}:
            self._dictionary = buffers.room("dictionary", 8 * entries)
            if has_dictionary:
                self._check(pages.load_dictionary(*shared, self._dictionary))
            return
        if has_dictionary:
            self._check(pages.load_dictionary_texts(*shared, self._offsets, self._words))
        if self._encode is not None and self._form == pages.CODES:
            self._look_up(self._encode)

    def _look_up(self, encode: Encode) -> None:
        """Makes codes come out as those of the caller's table, by giving those as the dictionary's values."""
        mapping = encode(self._offsets, self._words[: self._offsets[-1]])
        self._dictionary = self._buffers.room("dictionary", mapping.nbytes)
        self._dictionary[: mapping.nbytes] = mapping.view(np.uint8)
        pages.as_values(self._state)
        self._is_code = True

    def read(self, rows: int) -> Decoded:
        """Returns the next rows, in arrays of their own.

        Raises
        ------
        CorruptInput
            If a page is damaged.
        """
        valid = _room(rows) if self._chunk.optional else _NOTHING
        if self._form == pages.TEXTS:
            return self._texts(rows, valid)
        wide = self._form in {pages.EIGHT_BYTES, pages.WIDENED}
        out = _room(rows * (8 if wide else 4))
        nulls = self._check(
            pages.read_fixed(
                self._bytes,
                self._directory,
                self._page,
                self._dictionary,
                self._codes,
                self._state,
                out,
                valid,
                0,
                rows,
            )
        )
        dtype = np.dtype("i4") if self._is_code else self._chunk.dtype
        values = out.view(dtype) if dtype.itemsize >= 4 else out.view("i4").astype(dtype)
        if self._is_code and nulls:
            values[valid == 0] = -1
        return Decoded(values=values, valid=valid if nulls else None, is_code=self._is_code)

    def _texts(self, rows: int, valid: Array) -> Decoded:
        offsets = np.zeros(rows + 1, np.int64)
        longest = int(np.diff(self._offsets).max(initial=0))
        data = _room(pages.estimate_text_bytes(self._directory, self._state, longest, rows) + PADDING)
        row = nulls = 0
        while True:
            status = pages.read_texts(
                self._bytes, self._directory, self._page, self._words, self._offsets, self._codes, self._state,
                offsets, data, valid, row, rows,
            )  # fmt: skip
            nulls += int(self._state[pages.NULLS])
            if status != pages.TEXTS_FULL:
                self._check(status)
                return Decoded(values=data[: offsets[-1]], valid=valid if nulls else None, offsets=offsets)
            row = int(self._state[pages.NEXT_ROW])
            larger = _room(2 * len(data) + len(self._page))
            larger[: offsets[row]] = data[: offsets[row]]
            data = larger

    def _check(self, status: int) -> int:
        """Returns a count; raises CorruptInput for a status."""
        if status < 0:
            what = pages.STATUS.get(status, f"status {status}")
            raise CorruptInput(f"{self._where} cannot be decoded: column {self._chunk.name!r}: {what}")
        return status


_NOTHING = np.empty(0, np.uint8)


def _room(size_bytes: int) -> Array:
    """Returns bytes from Arrow's pool, which keeps pages that were used before: fresh ones cost as much as decoding."""
    return np.frombuffer(pa.allocate_buffer(size_bytes), np.uint8) if size_bytes else np.empty(0, np.uint8)
