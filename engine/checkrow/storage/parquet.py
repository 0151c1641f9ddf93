"""Parquet files: what their footers say, and reading and writing them with pyarrow.

Statistics are taken only in forms whose order is that of the stored values; anything else counts as unknown.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from checkrow.errors import CorruptInput, PermissionRefused, SchemaError
from checkrow.expressions import types
from checkrow.expressions.nodes import Scalar
from checkrow.plan.source import ColumnRange, RowGroup
from checkrow.storage.chunks import Buffers, ChunkReader, Decoded, Encode, Layout, chunk_of, layout_of
from checkrow.storage.footer import PlainFooter, plain_footer

Opened = Any  # a path or a binary file object, as `pyarrow.parquet` takes them
ROWS = 131_072
_EPOCH = dt.date(1970, 1, 1)
_PER_SECOND = {"milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}


class Sized(Protocol):
    """What is needed of a column chunk's footer entry."""

    total_uncompressed_size: int
    statistics: Any


def read_schema(opened: Opened, name: str) -> pa.Schema:
    """Returns the Arrow schema of a file.

    Raises
    ------
    CorruptInput
        If the file is not a complete Parquet file.
    """
    return _open(opened, name).schema_arrow


def read_key_value(opened: Opened, name: str, key: bytes) -> bytes | None:
    """Returns a footer's key-value entry, or None."""
    found: dict[bytes, bytes] = _open(opened, name).metadata.metadata or {}
    return found.get(key)


def read_row_groups(
    opened: Opened, name: str, columns: tuple[str, ...], ranged: tuple[str, ...], dtypes: dict[str, str]
) -> tuple[RowGroup, ...]:
    """Returns a file's row groups: rows, decoded size of `columns`, ranges of `ranged`.

    Parameters
    ----------
    dtypes : dict
        What the dataset's columns are; a column of the file that cannot be read as its type is refused.

    Raises
    ------
    CorruptInput
        If the file is not a complete Parquet file.
    SchemaError
        If it has two columns of one of the names, or one of a type that does not go with the dataset's.
    """
    file = _open(opened, name)
    metadata, held = file.metadata, file.schema_arrow
    paths = [metadata.schema.column(j).path for j in range(metadata.num_columns)]
    places = {path: j for j, path in enumerate(paths)}
    twice = next((c for c in columns if paths.count(c) > 1), None)
    if twice is not None:
        raise SchemaError(f"{name} has two columns named {twice!r}; rename one")
    for column in columns:
        if column in held.names:
            types.refuse_unlike(name, column, types.type_text(held.field(column).type), dtypes[column])
    return tuple(
        _row_group(metadata.row_group(i), places, columns, ranged, dtypes) for i in range(metadata.num_row_groups)
    )


def _row_group(
    group: Any,
    places: dict[str, int],
    columns: tuple[str, ...],
    ranged: tuple[str, ...],
    dtypes: dict[str, str],
) -> RowGroup:
    size = 0
    ranges = {}
    for name in columns:
        if name not in places:
            continue
        chunk = group.column(places[name])
        width = 0 if types.is_text(dtypes[name]) else types.numpy_dtype(dtypes[name]).itemsize
        size += max(chunk.total_uncompressed_size, width * group.num_rows)
        if name in ranged:
            found = _range(chunk.statistics, dtypes[name])
            if found is not None:
                ranges[name] = found
    return RowGroup(group.num_rows, size, ranges)


def _range(statistics: Any, dtype: str) -> ColumnRange | None:
    if statistics is None or not statistics.has_min_max:
        return None
    if dtype.startswith("timestamp"):
        return _instants(statistics, dtype)
    try:
        low, high = _stored(statistics.min, dtype), _stored(statistics.max, dtype)
    except (ValueError, OverflowError, UnicodeDecodeError):
        return None  # bounds outside what Python can hold (years beyond 9999, broken text) are unknown
    return None if low is None or high is None else ColumnRange(low, high)


def _instants(statistics: Any, dtype: str) -> ColumnRange | None:
    """Returns bounds of times in the unit of the column type; the file may have another."""
    found = json.loads(statistics.logical_type.to_json())
    per_second = _PER_SECOND.get(found.get("timeUnit", ""))
    if per_second is None or statistics.physical_type != "INT64":
        return None
    wanted = 10 ** (3 * ("s", "ms", "us", "ns").index(types.parse_type(dtype).unit))
    return ColumnRange(statistics.min_raw * wanted // per_second, -(-statistics.max_raw * wanted // per_second))


def _stored(value: Any, dtype: str) -> Scalar:
    """Returns a statistic as the stored value of a column type, or None when its order may differ."""
    match value:
        case bool():
            return int(value) if dtype == "bool" else None
        case int() if types.is_integer(dtype):
            return value
        case float() if types.is_float(dtype) and math.isfinite(value):
            return value  # an infinite bound excludes nothing, and no record can hold it
        case Decimal() if types.is_decimal(dtype):
            return int(value.scaleb(types.decimal_shape(dtype)[1]))
        case dt.date() if dtype == "date32[day]":
            return (value - _EPOCH).days
        case str() if dtype == "string":
            return value
    return None


def _open(opened: Opened, name: str, **options: Any) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(opened, **options)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        if isinstance(error, PermissionError):
            raise PermissionRefused(f"cannot read {name}: {error.strerror}; give this user access") from None
        raise CorruptInput(f"{name} is not a readable Parquet file: {_sentence(error)}") from None


def _sentence(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")


def empty(rows: int) -> pa.RecordBatch:
    """Returns a batch without columns that knows its number of rows."""
    return pa.RecordBatch.from_struct_array(pa.Array.from_buffers(pa.struct([]), rows, [None], children=[]))


class ParquetReader:
    """Reads row groups of one file as batches of at most 131,072 rows.

    Parameters
    ----------
    opened : path or file object
    name : str
        What messages call the file.
    columns : tuple of str
        Columns to decode; those the file lacks are left out.
    coded : tuple of str
        Text columns to deliver dictionary-encoded.
    dtypes : dict
        Types of the columns in the dataset. One-word decimals that the file stores as integers of the same scale are
        delivered by pyarrow as integers, unscaled; `unscaled` names them.
    encoders : dict or None
        Lets our own kernels decode what they can of a local file, and gives for each of the `coded` columns what makes
        codes of its texts. The values are the same.
    """

    def __init__(
        self,
        opened: Opened,
        name: str,
        columns: tuple[str, ...],
        coded: tuple[str, ...],
        dtypes: dict[str, str],
        encoders: Mapping[str, Encode] | None = None,
    ) -> None:
        self._name = name
        local = isinstance(opened, str)
        footer = _plain(Path(opened), columns, dtypes) if local else None
        self._dtypes = dtypes
        self.unscaled = frozenset(footer.decimals) if footer is not None else frozenset()
        options = {} if footer is None else {"metadata": footer.metadata}
        self._file = _open(opened, name, read_dictionary=list(coded), pre_buffer=not local, **options)
        self._schema: pa.Schema = self._file.schema_arrow
        held = set(self._schema.names)
        self._columns = [c for c in columns if c in held]
        self._encoders = encoders or {}
        self._buffers = {c: Buffers() for c in self._columns}
        decodes = encoders is not None and local
        self._descriptor = os.open(opened, os.O_RDONLY | os.O_CLOEXEC) if decodes else None

    def batches(self, row_group: int) -> Iterator[tuple[pa.RecordBatch, dict[str, Decoded]]]:
        """Yields the rows of a row group, in order: some columns from pyarrow, the others from our own kernels.

        Raises
        ------
        CorruptInput
            If its pages cannot be decoded.
        """
        own = self._own_chunks(row_group)
        for batch in self._decoded(row_group, [c for c in self._columns if c not in own]):
            yield batch, {name: reader.read(batch.num_rows) for name, reader in own.items()}

    def _own_chunks(self, row_group: int) -> dict[str, ChunkReader]:
        """Returns readers of the columns that our own kernels take."""
        if self._descriptor is None:
            return {}
        group, readers = self._file.metadata.row_group(row_group), {}
        where = f"{self._name}, row group {row_group}"
        for name, layout in self._layouts.items():
            chunk = chunk_of(group, layout)
            if chunk is None:
                continue
            reader = ChunkReader(self._descriptor, chunk, self._buffers[name], self._encoders.get(name), where)
            if not reader.refused:
                readers[name] = reader
        return readers

    @cached_property
    def _layouts(self) -> dict[str, Layout]:
        """The columns that our own kernels may take, by name."""
        schema, found = self._file.metadata.schema, {}
        places = {schema.column(j).path: j for j in range(len(schema))}
        for name in self._columns:
            field, wanted = self._schema.field(name), self._dtypes[name]
            plain = types.is_decimal(wanted) and not types.is_wide(wanted)
            if name in places and (types.type_text(field.type) == wanted or name in self.unscaled):
                layout = layout_of(schema, places[name], field, plain=plain)
                if layout is not None:
                    found[name] = layout
        return found

    def _decoded(self, row_group: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Yields some columns of a row group as pyarrow decodes them."""
        if not columns:
            yield from self._counted(self._file.metadata.row_group(row_group).num_rows)
            return
        try:
            yield from self._file.iter_batches(ROWS, row_groups=[row_group], columns=columns, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise CorruptInput(f"{self._name}, row group {row_group} cannot be decoded: {_sentence(error)}") from None

    def _counted(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Yields batches that hold nothing but their number of rows."""
        for start in range(0, rows, ROWS):
            yield empty(min(ROWS, rows - start))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_UNCHANGED = ("int", "uint", "float", "double", "bool", "date32", "string", "decimal128")


def _plain(path: Path, columns: tuple[str, ...], dtypes: dict[str, str]) -> PlainFooter | None:
    """Returns the footer that shows wanted decimals as integers, when it leaves every other column as it is."""
    narrow = [c for c in columns if types.is_decimal(dtypes[c]) and not types.is_wide(dtypes[c])]
    if not narrow or not all(dtypes[c].startswith(_UNCHANGED) for c in columns):
        return None
    try:
        footer = plain_footer(path, narrow)
    except OSError:
        return None  # the reader proper meets the same error and names it
    if footer is None or any(types.decimal_shape(dtypes[n])[1] != scale for n, (_, scale) in footer.decimals.items()):
        return None
    return footer


class ParquetWriter:
    """Writes batches to one local file, in row groups of at least 524,288 rows, zstd by default.

    Every file carries the dataset's uuid in its footer, so that it is recognised when it is found without its control
    root. Numbers are written as `codings` says for the first row group.
    """

    ROW_GROUP_ROWS = 1 << 19

    def __init__(self, path: Path, schema: pa.Schema, dataset: str, compression: str) -> None:
        self._path = path
        self._schema = schema.with_metadata({b"checkrow.dataset": dataset.encode()})
        self._options = {
            "compression": compression, "compression_level": 1 if compression == "zstd" else None,
            "use_dictionary": [f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_binary(f.type)],
            "write_page_checksum": True, "store_schema": True,
        }  # fmt: skip
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self.rows = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds rows."""
        self._pending.append(batch)
        self._pending_rows += batch.num_rows
        self.rows += batch.num_rows
        if self._pending_rows >= self.ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        table = pa.Table.from_batches([self._conformed(b) for b in self._pending], self._schema)
        self._pending, self._pending_rows = [], 0
        if self._writer is None:
            chosen = codings(table, self._options)
            self._writer = pq.ParquetWriter(self._path, self._schema, **{**self._options, **chosen})
        if table.num_rows:
            self._writer.write_table(table, row_group_size=table.num_rows)

    def _conformed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Returns a batch with the schema of the file."""
        if batch.schema.equals(self._schema):
            return pa.RecordBatch.from_arrays(batch.columns, schema=self._schema)
        return batch.cast(self._schema)

    def close(self) -> None:
        """Writes what is pending and the footer."""
        if self._pending_rows or self._writer is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()


SAMPLE_ROWS = 2_048
DIFFERENCES = "DELTA_BINARY_PACKED"
_WORTH = 1.125
"""How much larger a column may be without compression, which takes longer than all else about it."""


def codings(table: pa.Table, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns how a writer of a table is to encode and compress numbers, beside its other options.

    A number stands as it is or, if it is whole, as its difference from the one before (DELTA_BINARY_PACKED); compressed
    only where that makes the column an eighth smaller. Rows in the middle, where the first group of a sorted table is
    over, are written to memory in all these forms and their sizes compared, so that the choice depends on the rows
    alone.
    """
    whole = [f.name for f in table.schema if _is_whole(f.type)]
    numbers = [f.name for f in table.schema if f.name in whole or pa.types.is_floating(f.type)]
    if not numbers or table.num_rows < SAMPLE_ROWS:
        return {}
    sample = table.slice((table.num_rows - SAMPLE_ROWS) // 2, SAMPLE_ROWS)
    differences = {"column_encoding": dict.fromkeys(whole, DIFFERENCES)}
    shared = {**options, "use_dictionary": False, "store_schema": False}
    alone = {**shared, "compression": "none", "compression_level": None}
    forms = {
        (False, False): _sizes(sample.select(numbers), alone),
        (True, False): _sizes(sample.select(whole), {**alone, **differences}),
        (True, True): _sizes(sample.select(whole), {**shared, **differences}),
        (False, True): _sizes(sample.select(numbers), shared),
    }
    chosen = {n: _smallest({form: sizes[n] for form, sizes in forms.items() if n in sizes}) for n in numbers}
    encodings = {n: DIFFERENCES for n, (is_difference, _) in chosen.items() if is_difference}
    bare = {n for n, (_, is_compressed) in chosen.items() if not is_compressed}
    return {"column_encoding": encodings or None, **(_codecs(table.schema, bare, options) if bare else {})}


def _smallest(sizes: Mapping[tuple[bool, bool], int]) -> tuple[bool, bool]:
    """Returns the smallest form (is difference, is compressed), or one without compression that is hardly larger."""
    smallest = min(sizes, key=lambda form: sizes[form])
    bare = (form for form in sizes if not form[1] and sizes[form] <= _WORTH * sizes[smallest])
    return next(bare, smallest)


def _codecs(schema: pa.Schema, bare: set[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns how every column is compressed when some are not."""
    codec, level = options["compression"], options["compression_level"]
    compressed = [name for name in schema.names if name not in bare]
    return {
        "compression": {**dict.fromkeys(compressed, codec), **dict.fromkeys(bare, "none")},
        "compression_level": None if level is None else dict.fromkeys(compressed, level),
    }


def _is_whole(kind: pa.DataType) -> bool:
    """Tells whether a type is stored as INT32 or INT64."""
    return bool(pa.types.is_integer(kind) or pa.types.is_temporal(kind))


def _sizes(table: pa.Table, options: Mapping[str, Any]) -> dict[str, int]:
    """Returns the size of each column of a table as it is written."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    group = pq.read_metadata(pa.BufferReader(sink.getvalue())).row_group(0)
    return {name: group.column(j).total_compressed_size for j, name in enumerate(table.column_names)}


def read_columns(opened: Opened, name: str, row_group: int, columns: list[str]) -> pa.Table:
    """Returns some columns of a row group as pyarrow reads them; those the file lacks are left out.

    Raises
    ------
    CorruptInput
        If they cannot be decoded.
    """
    with _open(opened, name) as file:
        held = [c for c in columns if c in file.schema_arrow.names]
        try:
            return file.read_row_group(row_group, columns=held, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise CorruptInput(f"{name}, row group {row_group} cannot be decoded: {_sentence(error)}") from None


def read_row_count(path: Path) -> int:
    """Returns the rows of a local file, from its footer."""
    rows: int = _open(path, str(path)).metadata.num_rows
    return rows
