"""Calling a kernel for every group of a partition: rows are numbered by key, ordered, laid out by group and driven.

A group kernel takes the arrays of a group, a fold kernel its rows one after the other; all else is the same for both.
Groups come out in the order in which their keys first appear, slice by slice; rows of a group in the order asked for,
ties as they were read. Output arrays are used for all partitions of a task; one that is mostly full is given away.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checkrow.buffers import empty, filled, frozen
from checkrow.compile.cache import DriverCache
from checkrow.compile.driver import DONE, FULL, Driver
from checkrow.compile.emit import NOT_UTF8
from checkrow.compile.folds import fold_driver
from checkrow.compile.groups import WRONG_LENGTH, WRONG_ROWS, array_arguments, group_driver
from checkrow.expressions import types
from checkrow.expressions.expression import render
from checkrow.expressions.nodes import Node
from checkrow.kernels.fold import FOLD
from checkrow.kernels.group import EXPAND, MAP, REDUCE
from checkrow.kernels.signature import OUT
from checkrow.operators.arrow import to_arrow
from checkrow.operators.bad_rows import BadRowKeeper
from checkrow.operators.batch import Origin
from checkrow.operators.column import Column, Columns
from checkrow.operators.described import described
from checkrow.operators.drive import KernelFailed, drive, not_utf8
from checkrow.operators.fuse import scalar_arguments
from checkrow.operators.grouping import GroupTable
from checkrow.operators.key_columns import KeyColumns
from checkrow.operators.keys import pack
from checkrow.operators.order import order_words, rows_in_order
from checkrow.operators.written import WrittenColumns
from checkrow.plan.groups import ORIGIN, Grouping
from checkrow_kernels.sort import group_starts
from checkrow_kernels.take import take

Array = NDArray[Any]
_CAPACITY = 131_072
_WIDE = {"f4": "f8", "f8": "f8", "u8": "u8"}
"""The types of arrays that kernels take: of the others, whole numbers of any width, int64."""


class _Groups(msgspec.Struct, frozen=True, kw_only=True):
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
        self._folds = self._spec.kind == FOLD
        self._shape = MAP if self._folds else self._spec.shape
        self._driver: Driver = fold_driver(grouping.call) if self._folds else group_driver(grouping.call)
        self._out = WrittenColumns(self._spec.returns, wide=not self._folds and OUT in self._spec.arguments)
        self._group_of = np.empty(0, np.int32)
        self._most = 0

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
        gids, keys, starts = self._numbered(rows)
        rows = rows.only(self._read_again(rows.names))
        groups = _Groups(keys=keys, starts=starts, rows=self._ordered(rows, gids, starts))
        del gids
        yield from self._drive(rows, groups)

    # -- groups -------------------------------------------------------------------------------------------------------

    def _numbered(self, rows: Columns) -> tuple[Array, tuple[Column, ...], Array]:
        """Returns the group of every row (int32), the keys of the groups, and where each begins."""
        keys = KeyColumns(self._grouping.keys)
        columns: tuple[Column, ...] = ()
        count = 1
        if not self._grouping.keys:
            gids = filled(rows.rows, np.int32, 0)
        else:
            encoded = keys.encode(rows)
            table = GroupTable(keys.layout([encoded]), (), self._cache)
            gids = table.upsert(pack(table.layout, *encoded), rows.rows)
            columns, count = keys.columns(table.layout, table.key_words()), table.count
        starts = filled(count + 1, np.int64, 0)
        group_starts(frozen(gids), starts)
        return gids, columns, starts

    def _read_again(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the columns that are needed once groups have their numbers; keys need memory like any other."""
        if self._keeper.keeps:
            return names
        used = {self._grouping.column_of(n) for n in self._spec_nodes()}
        return tuple(n for n in names if n in used)

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
                valid = valid if valid is not None else filled(rows.rows, np.uint8, 1)
                out.append(_gathered(valid, groups.rows).view(np.bool_))
                continue
            if types.is_text(column.dtype):
                *ends, data = column.filled_spans(dict(self._spec.text_fills).get(name, b""))
                out += [*(_gathered(e, groups.rows) for e in ends), data]
                continue
            values = column.values
            if valid is not None:
                # A fill may lie beyond a narrow column, where the kernel takes a wider one.
                narrow = column.dtype == "bool" or self._folds
                kind = values.dtype if narrow else np.dtype(_WIDE.get(values.dtype.str[1:], "i8"))
                values = np.where(valid != 0, values, kind.type(fills.get(name, 0)))
            gathered = _gathered(values, groups.rows)
            if column.dtype == "bool":
                out.append(gathered.view(np.bool_))
            elif self._folds:
                out.append(gathered)  # the driver widens values one by one
            else:
                out.append(gathered.astype(_WIDE.get(gathered.dtype.str[1:], "i8"), copy=False))
        return [frozen(a) for a in out]

    def _forbidden(self, rows: Columns, groups: _Groups) -> dict[int, KernelFailed]:
        """Returns the groups in which a column holds a null that the kernel forbids, with the first such row."""
        by_name = dict(zip(self._spec.columns, self._grouping.call.args, strict=True))
        found: dict[int, KernelFailed] = {}
        for name, is_validity in array_arguments(self._spec):
            allowed = is_validity or self._spec.takes_null(name)
            valid = None if allowed else rows[self._grouping.column_of(by_name[name])].valid
            if valid is None:
                continue
            places = np.flatnonzero(valid[groups.rows] == 0)
            what = f"forbids nulls but column {name!r} holds one; give nulls={{{name!r}: value}} or take {name}_valid"
            numbers, first = np.unique(np.searchsorted(groups.starts, places, side="right") - 1, return_index=True)
            for group, row in zip(numbers.tolist(), places[first].tolist(), strict=True):
                step = row - int(groups.starts[group]) if self._folds else -1
                found.setdefault(group, KernelFailed(group, self._spec, "NullForbidden", what, step=step))
        return found

    def _drive(self, rows: Columns, groups: _Groups) -> Iterator[Columns]:
        """Yields pieces of output; between two of them stand groups on which the kernel failed."""
        spec, arrays, forbidden = self._spec, self._arrays(rows, groups), self._forbidden(rows, groups)
        self._most = max(groups.largest, spec.max_rows or 0) if self._shape != REDUCE else 1
        self._make_room()
        own = () if self._folds else (spec.max_rows or 0,)
        ends = [*sorted(forbidden), groups.count]
        state = np.zeros(1, np.int64)
        group = 0
        while group < groups.count:
            if OUT in spec.arguments and not self._folds:
                # What a kernel leaves unwritten is 0, not what an earlier group left there.
                self._out.clear()
            given = (
                frozen(groups.starts), *arrays, *scalar_arguments(self._driver),
                *own, self._out.rows, state, self._group_of, *self._out.arrays(),
            )  # fmt: skip
            last = ends[bisect_left(ends, group)]
            group, failed = self._call(group, last, given, groups, state)
            if state[0]:
                yield self._flush(groups, int(state[0]))
            state[0] = 0
            failed = failed or forbidden.get(group)
            if failed is not None:
                self._take(rows, groups, failed)
                yield from self._null(groups, failed.row)
                group = failed.row + 1

    def _take(self, rows: Columns, groups: _Groups, failed: KernelFailed) -> None:
        """Notes a group on which the kernel failed; raises the error for the user if it ends the run."""
        place = f"group {_key_text(self._grouping, groups, failed.row)}"
        if self._keeper.ends:
            within = f", row {failed.step}:" if self._folds else ":"
            hint = ""
            if failed.reason == "IndexError" and self._shape == EXPAND:
                hint = "; `out` has room for as many rows as the group has, or for max_rows="
            raise failed.located(place + within, hint) from None
        members = groups.rows[groups.starts[failed.row] : groups.starts[failed.row + 1]]
        tracked = ORIGIN in rows.names
        origins = rows[ORIGIN].values[members] if tracked else None
        values = tuple(self._described(rows, members)) if self._keeper.keeps and not tracked else ()
        self._keeper.note(Origin(place), failed.step, failed, rows=len(members), origins=origins, values=values)

    def _described(self, rows: Columns, members: Array) -> list[str]:
        """Returns the rows of a group as JSON: what travelled of them, under the names of expressions."""
        columns = {n: to_arrow(rows[n].take(members)) for n, _ in self._grouping.keys}
        columns |= {render(n): to_arrow(rows[self._grouping.column_of(n)].take(members)) for n in self._spec_nodes()}
        return described(pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns)))

    def _spec_nodes(self) -> tuple[Node, ...]:
        return (*(o.node for o in self._grouping.order), *self._grouping.call.args)

    def _null(self, groups: _Groups, group: int) -> Iterator[Columns]:
        """Yields nulls for a group: for it as a whole, for each of its rows, or none where any number is right."""
        rows = {REDUCE: 1, MAP: int(groups.starts[group + 1] - groups.starts[group]), EXPAND: 0}[self._shape]
        if self._keeper.nulls and rows:
            keys = tuple(k.take(np.full(rows, group, np.int64)) for k in groups.keys)
            values = tuple(Column.nulls(f.dtype, rows) for f in self._spec.returns)
            yield Columns(self._names(), (*keys, *values), rows)

    def _make_room(self) -> None:
        self._out.make_room(max(_CAPACITY, self._most))
        if len(self._group_of) < self._out.rows:
            self._group_of = np.empty(self._out.rows, np.int32)

    def _call(
        self, group: int, last: int, given: tuple[Any, ...], groups: _Groups, state: Array
    ) -> tuple[int, KernelFailed | None]:
        """Runs the driver once; returns the next group and, if the kernel failed on it, how."""
        try:
            group, status, detail = drive(self._cache, self._driver, group, last, given)
        except KernelFailed as failed:
            state[0] = failed.kept
            return failed.row, failed
        finally:
            self._out.touch(int(state[0]) + self._most)
        if status == FULL and not state[0]:
            self._out.make_bytes(detail)
        return group, None if status in {DONE, FULL} else self._broken(groups, group, status, detail)

    def _flush(self, groups: _Groups, count: int) -> Columns:
        """Returns the rows written so far as columns of their own; output arrays may be new ones."""
        rows = self._group_of[:count]
        keys = tuple(k.take(rows) for k in groups.keys)
        return Columns(self._names(), (*keys, *self._out.first(count)), count)

    def _names(self) -> tuple[str, ...]:
        return (*(n for n, _ in self._grouping.keys), *(f.name for f in self._spec.returns))

    # -- errors -------------------------------------------------------------------------------------------------------

    def _broken(self, groups: _Groups, group: int, status: int, detail: int) -> KernelFailed:
        """Returns why a driver stopped before a group."""
        spec = self._spec
        rows = int(groups.starts[group + 1] - groups.starts[group])
        if status == WRONG_ROWS:
            what = f"says it wrote {detail} rows; between 0 and {spec.max_rows or rows} are allowed"
            return KernelFailed(group, spec, "WrongRows", what)
        if status == WRONG_LENGTH:
            length, which = divmod(detail, len(spec.returns))
            what = f"returned {length} values for {spec.returns[which].name!r}; the group has {rows} rows"
            return KernelFailed(group, spec, "WrongLength", what)
        # A fold kernel's detail tells the row within the group as well.
        step, number = divmod(detail, len(spec.returns)) if self._folds else (-1, detail)
        field = spec.returns[number]
        if status == NOT_UTF8:
            return KernelFailed(group, spec, "NotUtf8", not_utf8(field), step=step)
        what = f"returned a value for {field.name!r} that does not fit {field.dtype}"
        return KernelFailed(group, spec, "OutOfRange", what, step=step)


def _gathered(values: Array, rows: Array) -> Array:
    out = empty(len(rows), values.dtype)
    take(frozen(values), frozen(rows), out)
    return out


def _key_text(grouping: Grouping, groups: _Groups, group: int) -> str:
    """Returns a group's key as a user reads it."""
    one = np.array([group], np.int64)
    values = [f"{n}={to_arrow(k.take(one))[0].as_py()!r}" for (n, _), k in zip(grouping.keys, groups.keys, strict=True)]
    return ", ".join(values) or "of all rows"
