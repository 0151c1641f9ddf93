"""Filter, compute and pre-aggregate the batches of a slice into one group table: the groups of one part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checkrow.compile.cache import DriverCache
from checkrow.compile.driver import FULL, KEY_RANGE, Driver, aggregate_driver, needs_mask
from checkrow.compile.fusible import fusible
from checkrow.compile.states import fusible_state
from checkrow.expressions import types
from checkrow.expressions.bounds import Interval, interval
from checkrow.expressions.nodes import Node, columns_of
from checkrow.operators.arrow import from_arrow
from checkrow.operators.bad_rows import BadRowKeeper, Marks, Survivor
from checkrow.operators.batch import Batch
from checkrow.operators.column import Column, Columns
from checkrow.operators.drive import KernelFailed, drive
from checkrow.operators.evaluate import Evaluator
from checkrow.operators.fuse import Envelope, RangeProof, input_arrays, scalar_arguments
from checkrow.operators.grouping import GroupTable
from checkrow.operators.keys import Key, covers, key_bits, key_values, layout, observed, pack, unpack
from checkrow.operators.rows import filtered, kernel_caller
from checkrow.operators.strings import StringTable
from checkrow.plan.aggregates import Aggregation
from checkrow.plan.bad_rows import NULL

Array = NDArray[Any]
_FIRST_CODES = 255


class PartialAggregate:
    """Group states of one slice.

    Parameters
    ----------
    predicates : tuple of Node
        Conditions a row must meet, in order.
    aggregation : Aggregation
        Keys and states over the slice's columns.
    part : int
        Which of its parts is kept here.
    ranges : dict
        What statistics say of the slice's integer columns.
    tables : dict
        The slice's string tables by column name; text keys that are bare columns arrive as codes into them.
    fused : bool
        Whether enough rows are ahead to compile a driver.
    """

    def __init__(
        self,
        predicates: tuple[Node, ...],
        aggregation: Aggregation,
        part: int,
        ranges: dict[str, Interval],
        tables: dict[str, StringTable],
        cache: DriverCache,
        keeper: BadRowKeeper,
        *,
        fused: bool,
    ) -> None:
        self._keeper = keeper
        self._predicates = predicates
        self._states = aggregation.parts[part].states
        self._keys = tuple(node for _, node in aggregation.keys_of(part))
        self._travelling = aggregation.state_columns(part)
        self._cache = cache
        self._tables = {
            number: tables.get(k.name) or StringTable() for number, k in enumerate(self._keys) if types.is_text(k.dtype)
        }
        self._table = GroupTable(self._layout(ranges), self._states, cache)
        self._nodes = (*predicates, *self._keys, *aggregation.parts[part].arguments())
        self._columns = columns_of(*self._nodes)
        self._proof = RangeProof(self._nodes)
        self._headroom = _Headroom(self._table)
        self._fusible = self._can_fuse() and (fused or cache.is_compiled(self._driver(masked=False)))
        self._drivers: dict[tuple[object, ...], tuple[Driver, list[object]]] = {}

    def _layout(self, ranges: dict[str, Interval]) -> Any:
        keys = tuple(Key(k.dtype, k.nullable) for k in self._keys)
        known: list[Interval | None] = []
        for number, node in enumerate(self._keys):
            if number in self._tables:
                known.append((0, _FIRST_CODES))
            else:
                known.append(None if types.is_float(node.dtype) or node.dtype == "uint64" else interval(node, ranges))
        return layout(keys, tuple(known))

    def _can_fuse(self) -> bool:
        plain = all(fusible(p) for p in self._predicates) and all(fusible_state(s) for s in self._states)
        keys = all(k.op == "col" or (fusible(k) and not types.is_text(k.dtype)) for k in self._keys)
        return plain and keys and self._table.layout.words <= 2

    def _driver(self, *, masked: bool, unsplit: frozenset[int] = frozenset(), careful: bool = False) -> Driver:
        plan = self._table.layout
        return aggregate_driver(
            self._predicates, self._keys, self._states, plan.fields, plan.words,
            masked=masked or needs_mask(self._nodes), direct=plan.direct, unsplit=unsplit, careful=careful,
        )  # fmt: skip

    @property
    def rows_kept(self) -> int:
        """Rows that met all conditions."""
        return self._table.rows

    @property
    def groups(self) -> int:
        """Groups since the last flush."""
        return self._table.count

    def consume(self, batch: Batch) -> None:
        """Adds the rows of a batch."""
        if not batch.rows:
            return
        if self._fusible and self._table.layout.words <= 2 and self._proof.holds(batch):
            self._fused(batch)
        else:
            self._vectorised(batch)

    # -- tier 2 -------------------------------------------------------------------------------------------------------

    def _fused(self, batch: Batch) -> None:
        masked, survivor = batch.has_nulls(self._columns), Survivor(self._keeper, batch)
        inputs: dict[str, list[Array]] = {}
        row = 0
        while row < batch.rows:
            plan = self._table.layout
            unsplit = self._headroom.grant(batch, row)
            if len(unsplit) < len(self._headroom.sums):
                unsplit = frozenset()
            careful = survivor.flags is not None
            variant = (masked or careful, plan.direct, plan.fields, unsplit, careful)
            if variant not in self._drivers:
                made = self._driver(masked=masked or careful, unsplit=unsplit, careful=careful)
                self._drivers[variant] = (made, scalar_arguments(made))
            driver, scalars = self._drivers[variant]
            if driver.digest not in inputs:
                inputs[driver.digest] = input_arrays(driver, batch)
            given = (*inputs[driver.digest], *scalars, *(survivor.flags or ()), *self._table_arguments())
            try:
                row, status, detail = drive(self._cache, driver, row, batch.rows, given)
            except KernelFailed as failed:
                row = survivor.next_row(failed, len(driver.calls))
                self._table.groups[1] += failed.kept
                self._table.forget_after(failed.groups)
                continue
            if status == FULL:
                self._table.grow()
            elif status == KEY_RANGE:
                self._table.widen(self._observed_ranges(batch, detail))
                if self._table.layout.words > 2:
                    self._vectorised(batch, row)
                    return

    def _table_arguments(self) -> tuple[object, ...]:
        table, plan = self._table, self._table.layout
        arrays = [a for state in table.arrays for a in state]
        return (
            plan.base, plan.limit, plan.shift, table.slots, table.groups, table.capacity, *table.words, *arrays,
        )  # fmt: skip

    def _observed_ranges(self, batch: Batch, key: int) -> tuple[Interval | None, ...]:
        """Returns the range a key takes in a batch (all rows, filtered or not); the other keys are left alone."""
        caller = kernel_caller(self._cache, batch, BadRowKeeper(NULL), Marks(batch.rows))
        column = self._key_column(Evaluator(batch.arrow, caller), batch, key)
        seen = observed(key_bits(column.dtype, column.values), column.valid)
        return tuple(seen if number == key else None for number in range(len(self._keys)))

    # -- tier 1 -------------------------------------------------------------------------------------------------------

    def _vectorised(self, batch: Batch, first: int = 0) -> None:
        rest = batch if first == 0 else _rest(batch, first)
        kept = filtered(rest, self._predicates, self._cache, self._keeper)
        if not kept.rows:
            return
        marks = Marks(kept.rows)
        evaluator = Evaluator(kept.arrow, kernel_caller(self._cache, kept, self._keeper, marks))
        keys = [self._key_column(evaluator, kept, k) for k in range(len(self._keys))]
        columns = [tuple(_column(evaluator, kept, a) for a in state.arguments) for state in self._states]
        if marks.good is not None:
            rows = np.flatnonzero(marks.good)
            keys = [k.take(rows) for k in keys]
            columns = [tuple(c.take(rows) for c in some) for some in columns]
            kept = kept.selected(pa.array(marks.good))
        known = self._table.count
        gids = self._group_numbers(keys, kept.rows)
        self._table.update(gids, columns, known, Survivor(self._keeper, kept))

    def _group_numbers(self, columns: list[Column], rows: int) -> Array:
        if not columns:
            return self._table.upsert((np.zeros(rows, np.int64),), rows)
        bits = tuple(key_bits(c.dtype, c.values) for c in columns)
        valid = tuple(c.valid for c in columns)
        seen = tuple(observed(b, v) for b, v in zip(bits, valid, strict=True))
        if not covers(self._table.layout, seen):
            self._table.widen(seen)
        return self._table.upsert(pack(self._table.layout, bits, valid), rows)

    def _key_column(self, evaluator: Evaluator, batch: Batch, number: int) -> Column:
        node = self._keys[number]
        if number in self._tables:
            if node.op == "col":
                return batch.column(node.name)
            return from_arrow(evaluator.array(node), node.dtype, self._tables[number])
        return _column(evaluator, batch, node)

    # -- result -------------------------------------------------------------------------------------------------------

    def flush(self) -> Columns:
        """Returns the groups so far as columns (see `Aggregation.state_columns`) and forgets them."""
        self._table.normalise()
        count = self._table.count
        bits, valid = unpack(self._table.layout, self._table.key_words())
        columns = []
        for number, node in enumerate(self._keys):
            values = key_values(node.dtype, bits[number])
            table = self._tables.get(number)
            ok = valid[number]
            if table is not None and ok is not None:
                values = np.where(ok != 0, values, np.int32(-1))
            columns.append(Column(node.dtype, values, ok, table=table).spelled())
        for number in range(len(self._states)):
            columns += self._table.state_columns(number)
        self._table.clear()
        return Columns(tuple(name for name, _ in self._travelling), tuple(columns), count)


class _Headroom:
    """How far the low halves of exact sums may still be filled before they have to be carried.

    While values are small, one addition per row is exact; the bound is kept per state from the batches' actual ranges.
    """

    _LIMIT = 2**62

    def __init__(self, table: GroupTable) -> None:
        self._table = table
        self.sums = [n for n, s in enumerate(table.states) if s.kind == "sum_int"]
        self._args = {n: table.states[n].arg for n in self.sums}
        self._columns = columns_of(*(a for a in self._args.values() if a is not None))
        self._used = dict.fromkeys(self.sums, 0)
        self._envelope = Envelope()
        self._largest: dict[int, int] = {}

    def grant(self, batch: Batch, row: int) -> frozenset[int]:
        """Returns the sums that the rest of a batch may add to their low half alone; counts them as added.

        The others are split row by row, which fills the low half by less than 2**32 per row: also counted.
        """
        if self._envelope.widen(batch.ranges(self._columns)) or not self._largest:
            self._largest = {n: self._bound(n) for n in self.sums}
        rows = batch.rows - row
        granted = []
        for number in self.sums:
            fill = self._largest[number] * rows
            if self._used[number] + min(fill, 2**32 * rows) > self._LIMIT or (
                fill <= self._LIMIT < self._used[number] + fill
            ):
                self._table.normalise()
                self._used = dict.fromkeys(self.sums, 2**32)
            if self._used[number] + fill <= self._LIMIT:
                granted.append(number)
                self._used[number] += fill
            else:
                self._used[number] += 2**32 * rows
        return frozenset(granted)

    def _bound(self, number: int) -> int:
        """Returns how much one row can add to a sum's low half, split or not."""
        arg = self._args[number]
        found = interval(arg, self._envelope.ranges) if arg is not None else None
        return max(abs(found[0]), abs(found[1]), 2**32) if found is not None else self._LIMIT


def _column(evaluator: Evaluator, batch: Batch, node: Node) -> Column:
    return batch.column(node.name) if node.op == "col" else from_arrow(evaluator.array(node), node.dtype)


def _rest(batch: Batch, first: int) -> Batch:
    return batch.replaced(batch.arrow.slice(first), lambda: np.arange(first, batch.rows))
