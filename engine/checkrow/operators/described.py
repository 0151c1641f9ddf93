"""Rows in words: one JSON object per row, for people and for rows that no file holds."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pyarrow as pa


def described(rows: pa.RecordBatch | pa.Table) -> list[str]:
    """Returns each row as a JSON object: whole numbers, truth values, text and nested values as they are.

    Floats that JSON lacks are told by name ("nan", "inf"), times and decimals as Arrow prints them, bytes that are no
    text in hexadecimal.
    """
    columns = {name: _values(rows.column(name)) for name in rows.schema.names}
    return [
        msgspec.json.encode({name: values[row] for name, values in columns.items()}, enc_hook=str).decode()
        for row in range(rows.num_rows)
    ]


def _values(array: pa.Array | pa.ChunkedArray) -> list[Any]:
    kind = array.type
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        array = array.cast(pa.string())
    return [_plain(v) for v in array.to_pylist()]


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.hex()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
