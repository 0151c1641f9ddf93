"""What a plan knows of its input: files, their row groups, and statistics."""

from __future__ import annotations

import msgspec

from checkrow.expressions.nodes import Scalar
from checkrow.expressions.types import Schema


class ColumnRange(msgspec.Struct, frozen=True):
    """Smallest and largest stored value of a column in a row group (text as text); None when unknown."""

    low: Scalar = None
    high: Scalar = None


class RowGroup(msgspec.Struct, frozen=True):
    """One row group: rows, decoded size of the columns asked for, and their ranges where the footer gives them."""

    rows: int
    size_bytes: int
    ranges: dict[str, ColumnRange] = {}


class DataFile(msgspec.Struct, frozen=True, kw_only=True):
    """One input file as it was when the run was planned.

    `version` changes whenever the content may have changed; `partition` holds the values of its directory names.
    """

    url: str
    path: str
    size_bytes: int
    version: str
    partition: dict[str, str | None] = {}
    row_groups: tuple[RowGroup, ...] = ()


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset to scan: where it is, what it looks like, and which files it has.

    `snapshot` is the commit number for datasets checkrow wrote, else None. `storage_options` may hold credentials: they
    are part of no fingerprint and are taken out before anything is recorded.
    """

    url: str
    format: str
    schema: Schema
    partition_columns: tuple[str, ...] = ()
    files: tuple[DataFile, ...] = ()
    snapshot: int | None = None
    storage_options: dict[str, str | int | float | bool | None] = {}
