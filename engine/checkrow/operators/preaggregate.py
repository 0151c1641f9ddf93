"""What of a slice changes partition: states of its groups, or, where groups hardly repeat, its rows themselves.

Looking up a group costs more than moving a few numbers once the groups outgrow the cache. The choice is made once per
slice from its first rows alone, by fixed costs, so that the same data always takes the same way; a key that would fill
a partition by itself is never moved row by row.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from checkrow.compile.cache import DriverCache
from checkrow.expressions import types
from checkrow.expressions.bounds import Interval
from checkrow.expressions.nodes import Node, walk
from checkrow.operators.arrow import from_arrow
from checkrow.operators.bad_rows import BadRowKeeper
from checkrow.operators.batch import Batch
from checkrow.operators.column import Column, Columns
from checkrow.operators.exchange import MemoryExchange
from checkrow.operators.keys import hash_keys
from checkrow.operators.partial import PartialAggregate
from checkrow.operators.rows import RowPipeline, screened
from checkrow.operators.scatter import Scatter
from checkrow.operators.strings import StringTable
from checkrow.plan.aggregates import PART, Aggregation

MOST_GROUPS = 1 << 16
"""Groups after which a table is emptied: it should stay near the cores."""
_PROBE_BATCHES = 4
_LOOKUP_NS, _MOVE_NS, _MERGE_NS = 30.0, 5.0, 10.0
"""Per row: finding a group among `MOST_GROUPS` and more, moving eight bytes, adding to a group in cache. Measured on
40 M events by 2.3 M users."""
_HOTTEST = 64
"""How many times the mean partition the rows of one key may fill."""


def rows_travel(
    groups_per_row: float, hottest_share: float, partitions: int, row_words: int, state_words: int, tables: int
) -> bool:
    """Tells whether moving all rows is cheaper than moving the states of their groups.

    Parameters
    ----------
    groups_per_row : float
        Groups the tables ended with per row that went in.
    hottest_share : float
        Part of the rows that have the most frequent key.
    partitions : int
    row_words, state_words : int
        Eight-byte words of a row's keys and arguments, and of a group's keys and states.
    tables : int
        Group tables a row is looked up in.
    """
    aggregated_ns = tables * _LOOKUP_NS + groups_per_row * (state_words * _MOVE_NS + _MERGE_NS)
    moved_ns = row_words * _MOVE_NS + _MERGE_NS
    return moved_ns < aggregated_ns and hottest_share * partitions <= _HOTTEST


class Preaggregation:
    """Takes the batches of one slice and gives what goes to the next stage, by partition.

    Parameters
    ----------
    predicates, aggregation, ranges, tables, cache, keeper, fused
        As for `PartialAggregate`.
    bits : int
        Partitions as a power of two.
    """

    def __init__(
        self,
        predicates: tuple[Node, ...],
        aggregation: Aggregation,
        ranges: dict[str, Interval],
        tables: dict[str, StringTable],
        cache: DriverCache,
        keeper: BadRowKeeper,
        *,
        bits: int,
        fused: bool,
    ) -> None:
        self._aggregation = aggregation
        self._keeper = keeper
        self._bits = bits
        self._predicates = predicates
        self._cache = cache
        self._parts = [
            PartialAggregate(predicates, aggregation, number, ranges, tables, cache, keeper, fused=fused)
            for number in range(len(aggregation.parts))
        ]
        self._pipeline = RowPipeline(predicates, aggregation.row_columns(), cache, keeper, fused=fused)
        self._out = Scatter(len(aggregation.keys), bits)
        self._rows_moved = 0
        self._moving = False
        # The first batches, until it is decided how they travel.
        # Rows on which an aggregator fails have to be found where they are read.
        may_move = bits and (keeper.ends or not aggregation.has_kernel())
        self._held: list[Batch] | None = [] if may_move else None

    @property
    def rows_kept(self) -> int:
        """Rows that met all conditions."""
        return self._rows_moved if self._moving else self._parts[0].rows_kept

    def consume(self, batch: Batch) -> None:
        """Adds the rows of a batch."""
        if self._moving:
            self._move(batch)
            return
        self._into_parts(batch)
        full = any(part.groups > MOST_GROUPS for part in self._parts)
        if self._held is not None:
            self._held.append(batch)
            if full or len(self._held) >= _PROBE_BATCHES:
                self._decide(self._held, full=full)
        if full and not self._moving:
            self._flush()

    def _into_parts(self, batch: Batch) -> None:
        """Adds rows to all parts; one that leaves for a kernel's failure is in none."""
        if len(self._parts) > 1 and self._keeper.keeps:
            batch = self._screen(batch)
        bad = self._keeper.count
        self._parts[0].consume(batch)  # the one that has the aggregators
        if self._keeper.keeps and self._keeper.count > bad and len(self._parts) > 1:
            good = self._keeper.good_in(batch)
            batch = batch if good is None else batch.selected(pa.array(good))
        for part in self._parts[1:]:
            part.consume(batch)

    def _screen(self, batch: Batch) -> Batch:
        """Leaves out the rows on which a kernel fails that some part calls."""
        nodes = (*self._aggregation.all_keys(), *self._aggregation.arguments())
        called = tuple(n for n in nodes if any(below.op == "kernel" for below in walk(n)))
        return screened(batch, self._predicates, called, self._cache, self._keeper)

    def _decide(self, held: list[Batch], *, full: bool) -> None:
        self._held = None
        kept = self.rows_kept
        if not full or not kept:
            return
        first = self._columns(held[0])
        travelling = tuple(d for _, d in self._aggregation.travelling())
        row_words, state_words = (sum(map(_words, dtypes)) for dtypes in (self._row_types(), travelling))
        ratio = sum(part.groups for part in self._parts) / kept
        share = _hottest_share(first, len(self._aggregation.keys))
        self._moving = rows_travel(ratio, share, 1 << self._bits, row_words, state_words, len(self._parts))
        for batch in held if self._moving else ():
            self._move(batch)

    def _flush(self) -> None:
        for number, part in enumerate(self._parts):
            groups = part.flush()
            self._out.add(groups if len(self._parts) == 1 else _widened(groups, self._aggregation, number))

    def _row_types(self) -> tuple[str, ...]:
        return tuple(node.dtype for _, node in self._aggregation.row_columns())

    def _columns(self, batch: Batch) -> Columns:
        arrow = self._pipeline.run(batch)
        kept = tuple(from_arrow(arrow.column(j), d) for j, d in enumerate(self._row_types()))
        return Columns(tuple(n for n, _ in self._aggregation.row_columns()), kept, arrow.num_rows)

    def _move(self, batch: Batch) -> None:
        columns = self._columns(batch)
        self._rows_moved += columns.rows
        self._out.add(columns)

    def finish(self) -> MemoryExchange:
        """Returns all that was taken in, by partition: rows, or keys with the arrays of every state."""
        if self._moving:
            return self._out.finish(tuple(n for n, _ in self._aggregation.row_columns()), self._row_types())
        self._flush()
        names, dtypes = zip(*self._aggregation.travelling(), strict=True)
        return self._out.finish(names, dtypes)


def _widened(groups: Columns, aggregation: Aggregation, part: int) -> Columns:
    """Returns the groups of one part with the columns of all."""
    keys = len(aggregation.keys)
    own = {f"{part}{n}": c for n, c in zip(groups.names[keys:], groups.columns[keys:], strict=True)}
    own[PART] = Column("int8", np.full(groups.rows, part, np.int8))
    rest = aggregation.travelling()[keys:]
    columns = (own[n] if n in own else Column.nulls(d, groups.rows) for n, d in rest)
    return Columns((*groups.names[:keys], *(n for n, _ in rest)), (*groups.columns[:keys], *columns), groups.rows)


def _words(dtype: str) -> int:
    if types.is_text(dtype):
        return 4
    return 2 if types.is_wide(dtype) else 1


def _hottest_share(columns: Columns, keys: int) -> float:
    """Returns the part of some rows that have their most frequent key."""
    if not columns.rows:
        return 0.0
    _, counts = np.unique(hash_keys(columns, keys), return_counts=True)
    return float(counts.max()) / columns.rows
