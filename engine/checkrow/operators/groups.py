"""Calling a kernel for every group of a partition: rows are numbered by key, ordered, laid out by group and driven.

Groups come out in the order in which their keys first appear, slice by slice; rows of a group in the order asked for,
ties as they were read. Output arrays are made once and used for all partitions of a task.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.compile.cache import DriverCache
from checkrow.compile.driver import DONE, FULL, Driver
from checkrow.compile.emit import NOT_UTF8
from checkrow.compile.groups import WRONG_LENGTH, WRONG_ROWS, array_arguments, group_driver
from checkrow.expressions import types
from checkrow.kernels.group import EXPAND, MAP, REDUCE
from checkrow.operators.arrow import to_arrow
from checkrow.operators.bad_rows import BadRowKeeper
from checkrow.operators.batch import Origin, frozen
from checkrow.operators.column import Column, Columns
from checkrow.operators.drive import KernelFailed, drive, not_utf8
from checkrow.operators.fuse import scalar_arguments
from checkrow.operators.grouping import GroupTable
from checkrow.operators.key_columns import KeyColumns
from checkrow.operators.keys import pack
from checkrow.operators.order import order_words, rows_in_order
from checkrow.plan.groups import Grouping
from checkrow_kernels.sort import group_starts
from checkrow_kernels.take import take

Array = NDArray[Any]
_CAPACITY = 131_072
_TEXT_BYTES = 8
"""Bytes per row of text that a kernel writes, at first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Groups:
    """The rows of a partition by group: `rows` are row numbers in group order, `starts` where each group begins."""

    keys: tuple[Column, ...]
    starts: Array
    rows: Array

    @property
    def count(self) -> int:
        return len(self.starts) - 1

    @property
    def largest(self) -> int:
        return int(np.diff(self.starts).max()) if self.count else 0


class GroupCaller:
    """Calls one kernel for the groups of partition after partition."""

    def __init__(self, grouping: Grouping, cache: DriverCache, keeper: BadRowKeeper) -> None:
        self._keeper = keeper
        self._grouping = grouping
        self._spec = grouping.call.kernel
        self._cache = cache
        self._driver: Driver = group_driver(grouping.call)
        self._out: list[list[Array]] = []
        self._group_of = np.empty(0, np.int32)

    def run(self, parts: Sequence[Columns]) -> Iterator[Columns]:
        """Yields what the kernel makes of a partition's groups, in pieces of bounded size: keys, then its columns.

        Raises
        ------
        KernelRowError
            If the kernel raises on a group, meets a null it forbids, or breaks its word on how much it returns.
        """
        filled = [p for p in parts if p.rows]
        if not filled:
            return
        rows = Columns.concat(filled)
        groups = self._group(rows)
        yield from self._drive(groups, self._arrays(rows, groups), self._forbidden(rows, groups))

    # -- groups -------------------------------------------------------------------------------------------------------

    def _group(self, rows: Columns) -> _Groups:
        keys = KeyColumns(self._grouping.keys)
        columns: tuple[Column, ...] = ()
        gids = np.zeros(rows.rows, np.int32)
        count = 1
        if self._grouping.keys:
            encoded = keys.encode(rows)
            table = GroupTable(keys.layout([encoded]), (), self._cache)
            gids = table.upsert(pack(table.layout, *encoded), rows.rows)
            columns, count = keys.columns(table.layout, table.key_words()), table.count
        starts = np.zeros(count + 1, np.int64)
        group_starts(frozen(gids), starts)
        return _Groups(keys=columns, starts=starts, rows=self._ordered(rows, gids, starts))

    def _ordered(self, rows: Columns, gids: Array, starts: Array) -> Array:
        """Returns row numbers by group, ordered within each."""
        grouping = self._grouping
        columns = [rows[grouping.column_of(o.node)] for o in grouping.order]
        return rows_in_order(order_words(columns, [o.descending for o in grouping.order]), gids, starts)

    # -- the kernel ---------------------------------------------------------------------------------------------------

    def _arrays(self, rows: Columns, groups: _Groups) -> list[Array]:
        """Returns the kernel's array arguments in group order, read-only."""
        by_name = dict(zip(self._spec.columns, self._grouping.call.args, strict=True))
        fills = dict(self._spec.fills)
        out = []
        for name, is_validity in array_arguments(self._spec):
            column = rows[self._grouping.column_of(by_name[name])]
            valid = column.valid
            if is_validity:
                valid = valid if valid is not None else np.ones(rows.rows, np.uint8)
                out.append(_gathered(valid, groups.rows).view(np.bool_))
                continue
            if types.is_text(column.dtype):
                out += self._text_arrays(column, dict(self._spec.text_fills).get(name, b""), groups)
                continue
            values = column.values
            if valid is not None:
                values = np.where(valid != 0, values, values.dtype.type(fills.get(name, 0)))
            gathered = _gathered(values, groups.rows)
            out.append(gathered.view(np.bool_) if column.dtype == "bool" else gathered)
        return [frozen(a) for a in out]

    @staticmethod
    def _text_arrays(column: Column, fill: bytes, groups: _Groups) -> list[Array]:
        """Returns where each text of a column starts and stops, in group order, and the bytes, which stay in theirs."""
        starts, stops, data = column.spans()
        if column.valid is not None:
            stops = np.where(column.valid != 0, stops, len(data) + len(fill))
            starts = np.where(column.valid != 0, starts, len(data))
            data = np.append(data, np.frombuffer(fill, np.uint8)) if fill else data
        return [_gathered(starts, groups.rows), _gathered(stops, groups.rows), data]

    def _forbidden(self, rows: Columns, groups: _Groups) -> dict[int, KernelFailed]:
        """Returns the groups in which a column holds a null that the kernel forbids."""
        by_name = dict(zip(self._spec.columns, self._grouping.call.args, strict=True))
        fills = {n for n, _ in (*self._spec.fills, *self._spec.text_fills)}
        found: dict[int, KernelFailed] = {}
        for name, is_validity in array_arguments(self._spec):
            allowed = is_validity or name in fills or f"{name}_valid" in self._spec.arguments
            valid = None if allowed else rows[self._grouping.column_of(by_name[name])].valid
            if valid is None:
                continue
            places = np.flatnonzero(valid[groups.rows] == 0)
            what = f"forbids nulls but column {name!r} holds one; give nulls={{{name!r}: value}} or take {name}_valid"
            for group in np.unique(np.searchsorted(groups.starts, places, side="right") - 1).tolist():
                found.setdefault(group, KernelFailed(group, self._spec, "NullForbidden", what))
        return found

    def _drive(self, groups: _Groups, arrays: list[Array], forbidden: dict[int, KernelFailed]) -> Iterator[Columns]:
        """Yields pieces of output; between two of them stand groups on which the kernel failed."""
        spec = self._spec
        self._make_room(max(groups.largest, spec.max_rows or 0) if spec.shape != REDUCE else 1)
        state = np.zeros(1, np.int64)
        group = 0
        while group < groups.count:
            given = (
                frozen(groups.starts), *arrays, *scalar_arguments(self._driver),
                spec.max_rows or 0, len(self._group_of), state, self._group_of,
                *(a for arrays in self._out for a in arrays),
            )  # fmt: skip
            last = min((g for g in forbidden if g >= group), default=groups.count)
            group, failed = self._call(group, last, given, groups, state)
            if state[0]:
                yield self._flush(groups, int(state[0]))
            state[0] = 0
            failed = failed or forbidden.get(group)
            if failed is not None:
                self._take(groups, failed)
                yield from self._null(groups, failed.row)
                group = failed.row + 1

    def _take(self, groups: _Groups, failed: KernelFailed) -> None:
        """Notes a group on which the kernel failed; raises the error for the user if it ends the run."""
        place = self._place(groups, failed.row)
        if self._keeper.ends:
            hint = ""
            if failed.reason == "IndexError" and self._spec.shape == EXPAND:
                hint = "; `out` has room for as many rows as the group has, or for max_rows="
            raise failed.located(place, hint) from None
        rows = int(groups.starts[failed.row + 1] - groups.starts[failed.row])
        self._keeper.note(Origin(place.rstrip(":")), 0, failed, rows=rows)

    def _null(self, groups: _Groups, group: int) -> Iterator[Columns]:
        """Yields nulls for a group: for it as a whole, for each of its rows, or none where any number is right."""
        rows = {REDUCE: 1, MAP: int(groups.starts[group + 1] - groups.starts[group]), EXPAND: 0}[self._spec.shape]
        if self._keeper.nulls and rows:
            keys = tuple(k.take(np.full(rows, group, np.int64)) for k in groups.keys)
            values = tuple(Column.nulls(f.dtype, rows) for f in self._spec.returns)
            yield Columns(self._names(), (*keys, *values), rows)

    def _make_room(self, largest: int) -> None:
        capacity = max(_CAPACITY, largest)
        if len(self._group_of) < capacity:
            self._group_of = np.empty(capacity, np.int32)
            self._out = [_outputs(f.dtype, capacity) for f in self._spec.returns]

    def _call(
        self, group: int, last: int, given: tuple[Any, ...], groups: _Groups, state: Array
    ) -> tuple[int, KernelFailed | None]:
        """Runs the driver once; returns the next group and, if the kernel failed on it, how."""
        if self._spec.shape in {EXPAND, MAP}:
            # What a kernel leaves unwritten is 0, not what an earlier group left there.
            for arrays in self._out:
                for out in arrays if len(arrays) == 1 else arrays[2:]:
                    out[:] = 0
        try:
            group, status, detail = drive(self._cache, self._driver, group, last, given)
        except KernelFailed as failed:
            state[0] = failed.kept
            return failed.row, failed
        if status == FULL and not state[0]:
            self._grow(detail)
        return group, None if status in {DONE, FULL} else self._broken(groups, group, status, detail)

    def _grow(self, output: int) -> None:
        """Makes room for more bytes of text: those of one group do not fit."""
        offsets, data, *kept = self._out[output]
        self._out[output] = [offsets, np.empty(2 * len(data) + 1, np.uint8), *kept]

    def _flush(self, groups: _Groups, count: int) -> Columns:
        """Returns the rows written so far as columns of their own; the output arrays are used again."""
        spec = self._spec
        rows = self._group_of[:count].astype(np.int64)
        keys = tuple(k.take(rows) for k in groups.keys)
        values = tuple(_copied(f.dtype, arrays, count) for f, arrays in zip(spec.returns, self._out, strict=True))
        return Columns(self._names(), (*keys, *values), count)

    def _names(self) -> tuple[str, ...]:
        return (*(n for n, _ in self._grouping.keys), *(f.name for f in self._spec.returns))

    # -- errors -------------------------------------------------------------------------------------------------------

    def _place(self, groups: _Groups, group: int) -> str:
        return f"group {_key_text(self._grouping, groups, group)}:"

    def _broken(self, groups: _Groups, group: int, status: int, detail: int) -> KernelFailed:
        """Returns why a driver stopped before a group."""
        spec = self._spec
        rows = int(groups.starts[group + 1] - groups.starts[group])
        if status == WRONG_ROWS:
            what = f"says it wrote {detail} rows; between 0 and {spec.max_rows or rows} are allowed"
            return KernelFailed(group, spec, "WrongRows", what)
        field = spec.returns[detail]
        if status == WRONG_LENGTH:
            what = f"returned an array for {field.name!r} that is not as long as the group ({rows} rows)"
            return KernelFailed(group, spec, "WrongLength", what)
        if status == NOT_UTF8:
            return KernelFailed(group, spec, "NotUtf8", not_utf8(field))
        what = f"returned a value for {field.name!r} that does not fit {field.dtype}"
        return KernelFailed(group, spec, "OutOfRange", what)


def _outputs(dtype: str, capacity: int) -> list[Array]:
    """Returns the arrays a driver writes a column to."""
    if types.is_text(dtype):
        addresses, lengths = np.zeros(capacity, np.int64), np.zeros(capacity, np.int64)
        return [np.zeros(capacity + 1, np.int64), np.empty(_TEXT_BYTES * capacity, np.uint8), addresses, lengths]
    return [np.empty(capacity, np.bool_ if dtype == "bool" else types.numpy_dtype(dtype))]


def _copied(dtype: str, arrays: list[Array], count: int) -> Column:
    """Returns the first rows a driver wrote as a column of its own."""
    if types.is_text(dtype):
        offsets = arrays[0][: count + 1].copy()
        return Column(dtype, arrays[1][: offsets[-1]].copy(), None, offsets)
    return Column(dtype, arrays[0][:count].view(np.uint8).copy() if dtype == "bool" else arrays[0][:count].copy())


def _gathered(values: Array, rows: Array) -> Array:
    out = np.empty(len(rows), values.dtype)
    take(frozen(values), frozen(rows), out)
    return out


def _key_text(grouping: Grouping, groups: _Groups, group: int) -> str:
    """Returns a group's key as a user reads it."""
    one = np.array([group], np.int64)
    values = [f"{n}={to_arrow(k.take(one))[0].as_py()!r}" for (n, _), k in zip(grouping.keys, groups.keys, strict=True)]
    return ", ".join(values) or "of all rows"
