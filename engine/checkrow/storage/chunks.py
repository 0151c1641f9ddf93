"""Column chunks of local Parquet files, decoded by our own kernels into arrays.

pyarrow decodes everything; our kernels (`checkrow_kernels.page_opening`) decode flat columns of the common types,
encodings and codecs, about twice as fast. What they do not take is refused here, before any value is delivered, and
read by pyarrow: from the footer alone, or once the page headers are known. Both deliver the same values.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from checkrow.buffers import empty
from checkrow.errors import CorruptInput
from checkrow_kernels import page_state as pages
from checkrow_kernels.page_fixed import read_fixed
from checkrow_kernels.page_opening import open_chunk
from checkrow_kernels.page_texts import estimate_text_bytes, read_texts
from checkrow_kernels.thrift import DIRECTORY_FULL, FIELDS, PADDING

Array = NDArray[Any]
Encode = Callable[[Array, Array], Array]
"""Gives codes (int32) for texts: offsets and bytes."""
_CODECS = {"UNCOMPRESSED": pages.UNCOMPRESSED, "SNAPPY": pages.SNAPPY}
_ENCODINGS = {"PLAIN", "RLE", "BIT_PACKED", "PLAIN_DICTIONARY", "RLE_DICTIONARY"}
_UNITS = {"s": "", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_PAGE_BYTES = 16 << 10
"""A page is rarely smaller; how many pages a chunk of some size may have is guessed from it."""
MOST_BYTES = 64 << 20
"""A chunk is read whole; larger ones are left to pyarrow, and so are sizes that a damaged footer makes up."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a file our kernels may take: its place in the footer, and how its values are stored and come out."""

    name: str
    place: int
    form: int
    optional: bool
    dtype: np.dtype[Any]


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A column chunk our kernels may take: where it stands and how it is stored."""

    layout: Layout
    offset: int
    size_bytes: int
    rows: int
    codec: int


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows of a column: values, or codes, or the bytes of texts with their offsets; validity by row, or None."""

    values: Array
    valid: Array | None = None
    offsets: Array | None = None
    is_code: bool = False


def layout_of(schema: pq.ParquetSchema, place: int, field: pa.Field, *, plain: bool) -> Layout | None:
    """Returns a file's column, or None when its type says that pyarrow has to read it.

    Parameters
    ----------
    schema : pyarrow.parquet.ParquetSchema
    place : int
        The column's number in it.
    field : pyarrow.Field
        The column as pyarrow would deliver it.
    plain : bool
        Whether a decimal is wanted as the integers it is stored as.
    """
    declared = schema.column(place)
    flat = declared.max_repetition_level == 0 and declared.max_definition_level <= 1 and declared.path == field.name
    found = _form(declared, field.type, plain=plain) if flat else None
    if found is None:
        return None
    optional = declared.max_definition_level == 1
    return Layout(name=field.name, place=place, form=found[0], optional=optional, dtype=np.dtype(found[1]))


def chunk_of(group: pq.RowGroupMetaData, layout: Layout) -> Chunk | None:
    """Returns a row group's chunk of a column, or None when its footer says that pyarrow has to read it."""
    column = group.column(layout.place)
    if column.compression not in _CODECS or not set(column.encodings) <= _ENCODINGS:
        return None
    start = column.data_page_offset
    if column.has_dictionary_page and column.dictionary_page_offset is not None:
        start = min(start, column.dictionary_page_offset)
    size, codec = column.total_compressed_size, _CODECS[column.compression]
    if start < 0 or not 0 <= size <= MOST_BYTES:
        return None
    return Chunk(layout=layout, offset=start, size_bytes=size, rows=group.num_rows, codec=codec)


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
        """Returns an array with room for so many bytes and PADDING, of whole words; what stood in it is lost."""
        held = self._held.get(use)
        if held is None or len(held) < size_bytes + PADDING:
            held = self._held[use] = empty(PADDING * (2 + size_bytes * 5 // 4 // PADDING), np.uint8)
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
        self._layout = chunk.layout
        self._buffers = buffers
        self._where = where
        self._dictionary = _NOTHING
        self._bytes = self._read(descriptor)
        form = self._layout.form if encode is None else pages.CODES
        self._state = pages.begin(chunk.codec, form, self._layout.optional)
        status = self._open()
        self.refused = pages.STATUS[status] if status in pages.REFUSALS else ""
        if not self.refused:
            entries = self._check(status)
            self._form = int(self._state[pages.FORM])
            self._codes = buffers.room("codes", 4 * pages.CODES_LENGTH).view(np.uint32)
            if encode is not None and self._form == pages.CODES:
                texts = self._offsets[: entries + 1]
                self._dictionary = encode(texts, self._dictionary[: texts[-1]]).view(np.uint8)

    def _read(self, descriptor: int) -> Array:
        """Returns the chunk's bytes."""
        size = self._chunk.size_bytes
        out = self._buffers.room("chunk", size)
        view, done = memoryview(out.data)[:size], 0
        while done < size:
            got = os.preadv(descriptor, [view[done:]], self._chunk.offset + done)
            if not got:
                name = self._layout.name
                raise CorruptInput(f"{self._where} cannot be decoded: the file ends inside column {name!r}")
            done += got
        return out

    def _open(self) -> int:
        """Lists and checks the pages and loads the dictionary, in buffers that grow as needed; returns the status."""
        chunk, state, room = self._chunk, self._state, self._buffers.room
        capacity = 4 + chunk.size_bytes // _PAGE_BYTES
        while True:
            table = room("directory", 8 * FIELDS * capacity)[: 8 * FIELDS * capacity]
            self._directory = table.view(np.int64).reshape(capacity, FIELDS)
            self._page = room("page", int(state[pages.PAGE_BYTES]))
            self._offsets = room("offsets", 8 * int(state[pages.OFFSETS])).view(np.int64)
            self._dictionary = room("dictionary", int(state[pages.DICTIONARY_BYTES]))
            status = open_chunk(
                self._bytes, chunk.size_bytes, self._directory, self._page, self._offsets, self._dictionary, state,
                chunk.rows,
            )  # fmt: skip
            if status == DIRECTORY_FULL:
                capacity *= 8
            elif status != pages.BUFFERS_FULL:
                return status

    def read(self, rows: int) -> Decoded:
        """Returns the next rows, in arrays of their own.

        Raises
        ------
        CorruptInput
            If a page is damaged.
        """
        valid = empty(rows, np.uint8) if self._layout.optional else _NOTHING
        if self._form == pages.TEXTS:
            return self._texts(rows, valid)
        is_code = self._form == pages.CODES
        dtype = _CODE if is_code else self._layout.dtype
        out = empty(rows * max(4, dtype.itemsize), np.uint8)
        nulls = self._check(
            read_fixed(
                self._bytes, self._directory, self._page, self._dictionary, self._codes, self._state, out, valid, 0,
                rows,
            )
        )  # fmt: skip
        values = out.view(dtype) if dtype.itemsize >= 4 else out.view("i4").astype(dtype)
        return Decoded(values=values, valid=valid if nulls else None, is_code=is_code)

    def _texts(self, rows: int, valid: Array) -> Decoded:
        offsets = np.zeros(rows + 1, np.int64)
        data = empty(estimate_text_bytes(self._directory, self._state, rows) + PADDING, np.uint8)
        row = nulls = 0
        while True:
            status = read_texts(
                self._bytes, self._directory, self._page, self._dictionary, self._offsets, self._codes, self._state,
                offsets, data, valid, row, rows,
            )  # fmt: skip
            nulls += int(self._state[pages.NULLS])
            if status != pages.TEXTS_FULL:
                self._check(status)
                return Decoded(values=data[: offsets[-1]], valid=valid if nulls else None, offsets=offsets)
            row = int(self._state[pages.NEXT_ROW])
            larger = empty(2 * len(data) + len(self._page), np.uint8)
            larger[: offsets[row]] = data[: offsets[row]]
            data = larger

    def _check(self, status: int) -> int:
        """Returns a count; raises CorruptInput for a status."""
        if status < 0:
            what = pages.STATUS.get(status, f"status {status}")
            raise CorruptInput(f"{self._where} cannot be decoded: column {self._layout.name!r}: {what}")
        return status


_CODE = np.dtype(np.int32)
_NOTHING = np.empty(0, np.uint8)
