"""Reading a slice: row groups of files as batches in the stage's schema.

Columns are matched by name; a column a file lacks is null, or the value of its directory name; another type is an error
unless it converts without loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from checkrow.errors import SchemaError
from checkrow.expressions import types
from checkrow.expressions.bounds import Interval
from checkrow.expressions.types import Field, Schema
from checkrow.operators.batch import Batch, Origin
from checkrow.operators.column import Column
from checkrow.operators.strings import StringTable
from checkrow.plan.slices import Piece
from checkrow.plan.source import DataFile
from checkrow.storage.chunks import Decoded, Encode
from checkrow.storage.parquet import ParquetReader, empty

Opener = Callable[[DataFile], Any]


class SliceReader:
    """Yields the batches of a slice.

    Parameters
    ----------
    files : tuple of DataFile
        The stage's files; pieces refer to them by position.
    columns : Schema
        What the stage reads.
    coded : tuple of str
        Text columns that arrive as codes.
    opener : callable
        Opens a file for reading; raises InputChanged when it is not the planned one.
    own : bool
        Whether our own kernels decode what they can.
    """

    def __init__(
        self, files: tuple[DataFile, ...], columns: Schema, coded: tuple[str, ...], opener: Opener, *, own: bool
    ) -> None:
        self._files = files
        self._columns = columns
        self._coded = coded
        self._opener = opener
        self._own = own
        self.tables = {name: StringTable() for name in coded}
        self._dtypes = {f.name: f.dtype for f in columns}

    def batches(self, pieces: tuple[Piece, ...]) -> Iterator[Batch]:
        """Yields batches in file and row order."""
        for piece in pieces:
            file = self._files[piece.file]
            names = tuple(f.name for f in self._columns if f.name not in file.partition)
            coded = tuple(c for c in self._coded if c in names)
            encoders = {c: self._encoder(c) for c in coded} if self._own else None
            reader = ParquetReader(self._opener(file), file.path, names, coded, self._dtypes, encoders)
            try:
                for index in range(piece.start, piece.stop):
                    if file.row_groups[index].rows:
                        origin = Origin(f"{file.path}, row group {index}", piece.file, index)
                        yield from self._row_group(file, reader, origin)
            finally:
                reader.close()

    def _row_group(self, file: DataFile, reader: ParquetReader, origin: Origin) -> Iterator[Batch]:
        first = 0
        for arrow, own in reader.batches(origin.row_group or 0):
            fields = [f for f in self._columns if f.name not in own]
            arrays = [self._conform(file, arrow, field, reader.unscaled) for field in fields]
            plain = (
                pa.RecordBatch.from_arrays(arrays, names=[f.name for f in fields]) if arrays else empty(arrow.num_rows)
            )
            columns = {name: self._column(name, decoded) for name, decoded in own.items()}
            yield Batch(plain, self.tables, self._dtypes, origin, first, reader.unscaled, columns=columns)
            first += arrow.num_rows

    def _encoder(self, name: str) -> Encode:
        return lambda offsets, data: self.tables[name].encode(offsets, data, None)

    def _column(self, name: str, decoded: Decoded) -> Column:
        """Returns what our own kernels decoded as a column; text that came as bytes gets its codes here."""
        dtype, table = self._dtypes[name], self.tables.get(name)
        if table is not None and decoded.offsets is not None:
            codes = table.encode(decoded.offsets, decoded.values, decoded.valid)
            return Column(dtype, codes, decoded.valid, table=table)
        return Column(dtype, decoded.values, decoded.valid, decoded.offsets, table if decoded.is_code else None)

    def _conform(self, file: DataFile, arrow: pa.RecordBatch, field: Field, unscaled: frozenset[str]) -> pa.Array:
        wanted = types.parse_type(field.dtype)
        if field.name in file.partition:
            return _partition_value(file, field, wanted, arrow.num_rows)
        if field.name not in arrow.schema.names:
            return pa.nulls(arrow.num_rows, wanted)
        array = arrow.column(field.name)
        if field.name in unscaled:
            return array if pa.types.is_int64(array.type) else array.cast(pa.int64())
        if array.type == wanted or (pa.types.is_dictionary(array.type) and types.type_text(array.type) == field.dtype):
            return array
        return convert(array, field, file.path)


def convert(array: pa.Array, field: Field, where: str) -> pa.Array:
    """Returns an array in a field's type when every value converts without loss.

    Raises
    ------
    SchemaError
        If the types do not go together or a value does not fit.
    """
    wanted = types.parse_type(field.dtype)
    source = types.type_text(array.type)
    types.refuse_unlike(where, field.name, source, field.dtype)
    try:
        return array.cast(wanted)
    except pa.ArrowInvalid:
        raise types.type_clash(where, field.name, source, field.dtype) from None


def _partition_value(file: DataFile, field: Field, wanted: pa.DataType, rows: int) -> pa.Array:
    text = file.partition[field.name]
    if text is None:
        return pa.nulls(rows, wanted)
    try:
        return pa.repeat(pa.scalar(text).cast(wanted), rows)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise SchemaError(f"{file.path}: the directory value {field.name}={text!r} is not a {field.dtype}") from None


def slice_ranges(files: tuple[DataFile, ...], pieces: tuple[Piece, ...]) -> dict[str, Interval]:
    """Returns what statistics say of the integer columns of a slice; columns with a gap in them are left out."""
    groups = [
        files[p.file].row_groups[i] for p in pieces for i in range(p.start, p.stop) if files[p.file].row_groups[i].rows
    ]
    names = set.intersection(*(set(g.ranges) for g in groups)) if groups else set()
    out: dict[str, Interval] = {}
    for name in names:
        lows = [g.ranges[name].low for g in groups]
        highs = [g.ranges[name].high for g in groups]
        if all(isinstance(v, int) for v in (*lows, *highs)):
            out[name] = (min(int(v or 0) for v in lows), max(int(v or 0) for v in highs))
    return out
