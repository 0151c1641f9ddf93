"""Cutting work into tasks: row groups into scan slices, exchange partitions into runs.

Both depend on the data and on target sizes only, never on threads, memory or executor: the same program gives the same
tasks everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from checkrow.plan.source import DataFile

TARGET_BYTES = 64 << 20
"""Decoded bytes a task aims at when there is enough work."""
FLOOR_BYTES = 4 << 20
"""Decoded bytes below which a slice is not cut further."""
SPREAD = 32
"""Small inputs are still cut into about this many slices, so that a few cores share them evenly."""
PARTITION_ROWS = 256 * 1024
MAX_BITS = 12


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """Consecutive row groups of one file: `files[file].row_groups[start:stop]`."""

    file: int
    start: int
    stop: int


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One stage on one slice: pieces of files, or partitions `[first, last)` of an exchange."""

    number: int
    pieces: tuple[Piece, ...] = ()
    first: int = 0
    last: int = 0
    size_bytes: int = 0
    rows: int = 0

    def slice_id(self) -> str:
        """Returns the identity of the slice: what is read, not how it is laid out in memory."""
        return hashlib.sha256(repr((self.number, self.pieces, self.first, self.last)).encode()).hexdigest()[:16]


def scan_tasks(files: Sequence[DataFile], target_bytes: int | None = None) -> tuple[Task, ...]:
    """Returns the tasks that read all row groups with rows, in file order, about equal in decoded bytes."""
    total = sum(g.size_bytes for f in files for g in f.row_groups)
    target = target_bytes or min(TARGET_BYTES, max(FLOOR_BYTES, total // SPREAD))
    tasks: list[Task] = []
    pieces: list[Piece] = []
    size = rows = 0
    for number, file in enumerate(files):
        for index, group in enumerate(file.row_groups):
            if not group.rows:
                continue
            if pieces and size + group.size_bytes // 2 > target:
                tasks.append(Task(number=len(tasks), pieces=tuple(pieces), size_bytes=size, rows=rows))
                pieces, size, rows = [], 0, 0
            pieces = _extend(pieces, number, index)
            size += group.size_bytes
            rows += group.rows
    if pieces:
        tasks.append(Task(number=len(tasks), pieces=tuple(pieces), size_bytes=size, rows=rows))
    return tuple(tasks)


def _extend(pieces: list[Piece], file: int, index: int) -> list[Piece]:
    if pieces and pieces[-1].file == file and pieces[-1].stop == index:
        return [*pieces[:-1], Piece(file, pieces[-1].start, index + 1)]
    return [*pieces, Piece(file, index, index + 1)]


def partition_bits(rows: int) -> int:
    """Returns the power of two of exchange partitions for a number of rows, so that one fits a core's cache."""
    bits = 0
    while bits < MAX_BITS and rows > PARTITION_ROWS << bits:
        bits += 1
    return bits


def partition_tasks(
    sizes_bytes: Sequence[int], rows: Sequence[int], target_bytes: int | None = None
) -> tuple[Task, ...]:
    """Returns tasks of consecutive partitions, about `target_bytes` each; all partitions are covered."""
    target = target_bytes or min(TARGET_BYTES, max(FLOOR_BYTES, sum(sizes_bytes) // SPREAD))
    tasks: list[Task] = []
    first = size = count = 0
    for p, (b, r) in enumerate(zip(sizes_bytes, rows, strict=True)):
        if p > first and size + b // 2 > target:
            tasks.append(Task(number=len(tasks), first=first, last=p, size_bytes=size, rows=count))
            first, size, count = p, 0, 0
        size += b
        count += r
    tasks.append(Task(number=len(tasks), first=first, last=len(sizes_bytes), size_bytes=size, rows=count))
    return tuple(tasks)
