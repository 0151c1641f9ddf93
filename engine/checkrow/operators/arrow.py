"""Between Arrow arrays and columns, without copies where the forms agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checkrow.buffers import empty
from checkrow.errors import ArithmeticRangeError
from checkrow.expressions import types
from checkrow.expressions.types import Schema
from checkrow.operators.column import Column, Columns
from checkrow.operators.strings import StringTable
from checkrow_kernels.bits import low_words, pack_bits, unpack_bits, widen

Array = NDArray[Any]


def from_arrow(array: pa.Array, dtype: str, table: StringTable | None = None) -> Column:
    """Returns an Arrow array as a column of type `dtype`; text becomes codes when a table is given.

    Offsets of slices, nulls and any buffer layout are respected.
    """
    valid = validity(array)
    if types.is_text(dtype):
        return _text(array, dtype, valid, table)
    if pa.types.is_boolean(array.type):
        values = empty(len(array), np.uint8)
        unpack_bits(_bytes(array.buffers()[1]), array.offset, len(array), values)
        return Column(dtype, values, valid)
    if pa.types.is_decimal(array.type):
        return _decimal(array, dtype, valid)
    return Column(dtype, _fixed(array, types.numpy_dtype(dtype)), valid)


def validity(array: pa.Array) -> Array | None:
    """Returns one byte per row, or None when there are no nulls."""
    if array.null_count == 0:
        return None
    bitmap = array.buffers()[0]
    out = empty(len(array), np.uint8)
    unpack_bits(_bytes(bitmap), array.offset, len(array), out)
    return out


def _bytes(buffer: pa.Buffer | None) -> Array:
    return np.empty(0, np.uint8) if buffer is None else np.frombuffer(buffer, np.uint8)


def _fixed(array: pa.Array, dtype: np.dtype[Any]) -> Array:
    buffer = array.buffers()[1]
    if buffer is None or len(array) == 0:
        return np.empty(0, dtype)
    return np.frombuffer(buffer, dtype, len(array), array.offset * dtype.itemsize)


def _decimal(array: pa.Array, dtype: str, valid: Array | None) -> Column:
    if not pa.types.is_decimal128(array.type):
        array = array.cast(types.parse_type(dtype))
    rows = len(array)
    buffer = array.buffers()[1]
    words = np.empty(0, np.int64) if not rows else np.frombuffer(buffer, np.int64, 2 * rows, 16 * array.offset)
    if types.is_wide(dtype):
        return Column(dtype, words, valid)
    if valid is not None and rows:
        # A null slot may hold anything: zero it so that the check below speaks of values only.
        words = words.copy()
        words.reshape(rows, 2)[valid == 0] = 0
    out = empty(rows, np.int64)
    if not low_words(words, rows, out):
        raise ArithmeticRangeError(f"a {dtype} value holds more than 18 digits; the file breaks its own type")
    return Column(dtype, out, valid)


def _text(array: pa.Array, dtype: str, valid: Array | None, table: StringTable | None) -> Column:
    if pa.types.is_dictionary(array.type):
        if table is None:
            return _text(array.cast(types.parse_type(dtype)), dtype, valid, None)
        offsets, data = _plain_text(array.dictionary)
        indices = array.indices
        if indices.type != pa.int32():
            indices = indices.cast(pa.int32())
        codes = _fixed(indices, np.dtype("i4"))
        if valid is not None:
            codes = np.where(valid, codes, np.int32(-1))
        return Column(dtype, table.recode(codes, offsets, data), valid, table=table)
    offsets, data = _plain_text(array)
    if table is not None:
        return Column(dtype, table.encode(offsets, data, valid), valid, table=table)
    return Column(dtype, data, valid, offsets)


def _plain_text(array: pa.Array) -> tuple[Array, Array]:
    """Returns (int64 offsets from 0, bytes) of a text array of any layout."""
    if not (pa.types.is_string(array.type) or pa.types.is_binary(array.type)):
        binary = (
            pa.types.is_binary(array.type)
            or pa.types.is_large_binary(array.type)
            or pa.types.is_binary_view(array.type)
        )
        array = array.cast(pa.large_binary() if binary else pa.large_string())
    large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    width = np.dtype("i8" if large else "i4")
    _, offsets_buffer, data_buffer = array.buffers()
    if len(array) == 0 or offsets_buffer is None:
        return np.zeros(len(array) + 1, np.int64), np.empty(0, np.uint8)
    offsets = np.frombuffer(offsets_buffer, width, len(array) + 1, array.offset * width.itemsize).astype(np.int64)
    data = _bytes(data_buffer)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], data


def to_arrow(column: Column) -> pa.Array:
    """Returns a column as an Arrow array, sharing its buffers where the forms agree."""
    dtype = types.parse_type(column.dtype)
    rows = len(column)
    bitmap = None
    if column.valid is not None:
        packed = np.zeros((rows + 7) // 8, np.uint8)
        pack_bits(column.valid, rows, packed)
        bitmap = pa.py_buffer(packed)
    if types.is_text(column.dtype):
        return _text_array(column.spelled(), dtype, bitmap)
    if column.dtype == "bool":
        packed = np.zeros((rows + 7) // 8, np.uint8)
        pack_bits(column.values, rows, packed)
        return pa.Array.from_buffers(dtype, rows, [bitmap, pa.py_buffer(packed)])
    values = column.values
    if types.is_decimal(column.dtype) and not types.is_wide(column.dtype):
        values = empty(2 * rows, np.int64)
        widen(column.values, values)
    return pa.Array.from_buffers(dtype, rows, [bitmap, pa.py_buffer(np.ascontiguousarray(values))])


def coded_array(column: Column, table: StringTable) -> pa.Array:
    """Returns text in the form of codes as a dictionary array."""
    offsets, data = table.strings()
    words = _text_array(Column(column.dtype, data, None, offsets), types.parse_type(column.dtype), None)
    mask = None if column.valid is None else column.valid == 0
    codes = pa.array(np.where(mask, 0, column.values) if mask is not None else column.values, pa.int32(), mask=mask)
    return pa.DictionaryArray.from_arrays(codes, words, safe=False)


def _text_array(column: Column, dtype: pa.DataType, bitmap: pa.Buffer | None) -> pa.Array:
    offsets = column.offsets if column.offsets is not None else np.zeros(1, np.int64)
    large = pa.large_binary() if pa.types.is_binary(dtype) else pa.large_string()
    buffers = [bitmap, pa.py_buffer(offsets), pa.py_buffer(column.values)]
    array = pa.Array.from_buffers(large, len(offsets) - 1, buffers)
    # A batch or partition stays far below 2 GiB of text; a longer one keeps 64-bit offsets rather than fail.
    return array.cast(dtype) if offsets[-1] < 2**31 - 1 else array


def to_batch(columns: Columns, schema: Schema) -> pa.RecordBatch:
    """Returns columns as a record batch with a plan schema."""
    arrays = [to_arrow(columns[f.name]) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=types.arrow_schema(schema))
