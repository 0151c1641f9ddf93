"""Filter and compute the batches of a slice row by row: the work of a stage that does not aggregate."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checkrow.buffers import empty
from checkrow.compile.cache import DriverCache
from checkrow.compile.driver import FULL, Driver, needs_mask, row_driver
from checkrow.compile.fusible import fusible
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelCall, Node, columns_of, walk
from checkrow.expressions.types import Field
from checkrow.operators.arrow import to_arrow
from checkrow.operators.bad_rows import BadRowKeeper, Marks, Survivor
from checkrow.operators.batch import Batch
from checkrow.operators.batch_calls import BatchCall
from checkrow.operators.column import Column
from checkrow.operators.drive import KernelFailed, drive
from checkrow.operators.evaluate import Evaluator, KernelCaller, Places
from checkrow.operators.fuse import RangeProof, input_arrays, scalar_arguments

Array = NDArray[Any]
_TEXT_BYTES = 8
"""Bytes per row of text that a kernel returns, at first."""


class RowPipeline:
    """Turns batches of a stage's source into batches of its output columns."""

    def __init__(
        self,
        predicates: tuple[Node, ...],
        outputs: tuple[tuple[str, Node], ...],
        cache: DriverCache,
        keeper: BadRowKeeper,
        *,
        fused: bool,
    ) -> None:
        self._predicates = predicates
        self._outputs = outputs
        self._cache = cache
        self._keeper = keeper
        self._computed = tuple(n for _, n in outputs if n.op != "col" and fusible(n))
        self._nodes = (*predicates, *self._computed)
        self._columns = columns_of(*self._nodes)
        self._proof = RangeProof(self._nodes)
        self._fusible = all(fusible(p) for p in predicates) and bool(self._nodes)
        self._fused = fused or any(n.op == "kernel" for node in self._nodes for n in walk(node))
        self._schema = types.arrow_schema(tuple(Field(n, node.dtype, node.nullable) for n, node in outputs))

    def run(self, batch: Batch) -> pa.RecordBatch:
        """Returns the rows that pass, with the output columns."""
        return self._evaluated(*self._kept(batch))[0]

    def rows(self, batch: Batch) -> Batch:
        """Returns the rows that pass as a batch of the output columns, numbered as they were."""
        kept, known = self._kept(batch)
        arrow, good = self._evaluated(kept, known)
        dtypes = {name: node.dtype for name, node in self._outputs}
        here: slice | Array = slice(None) if good is None else good
        return Batch(arrow, {}, dtypes, batch.origin, batch.first_row, numbers=lambda: kept.row_numbers[here])

    def _kept(self, batch: Batch) -> tuple[Batch, dict[Node, pa.Array]]:
        """Returns the rows that meet the conditions, and what is computed of them already."""
        if self._fusible and self._fused and batch.rows and self._proof.holds(batch):
            return self._drive(batch)
        return filtered(batch, self._predicates, self._cache, self._keeper), {}

    def _drive(self, batch: Batch) -> tuple[Batch, dict[Node, pa.Array]]:
        masked = batch.has_nulls(self._columns) or needs_mask(self._nodes)
        rows, columns = drive_rows(
            self._cache, self._predicates, self._computed, batch, self._keeper, masked=masked
        )  # fmt: skip
        known = {node: to_arrow(column) for node, column in zip(self._computed, columns, strict=True)}
        if len(rows) == batch.rows:
            return batch, known
        return batch.replaced(batch.arrow.take(pa.array(rows)), lambda: rows), known

    def _evaluated(self, batch: Batch, known: dict[Node, pa.Array]) -> tuple[pa.RecordBatch, Array | None]:
        """Returns the output columns of the rows on which no kernel fails, and which those are if not all."""
        marks = Marks(batch.rows)
        evaluator = Evaluator(batch.arrow, kernel_caller(self._cache, batch, self._keeper, marks))
        arrays = [known[node] if node in known else evaluator.array(node) for _, node in self._outputs]
        plain = [a if a.type == f.type else a.cast(f.type) for a, f in zip(arrays, self._schema, strict=True)]
        whole = pa.RecordBatch.from_arrays(plain, schema=self._schema)
        return (whole, None) if marks.good is None else (whole.filter(pa.array(marks.good)), marks.good)


def filtered(batch: Batch, predicates: tuple[Node, ...], cache: DriverCache, keeper: BadRowKeeper) -> Batch:
    """Returns the rows that meet all conditions, tried in order on the rows that met the ones before."""
    for predicate in predicates:
        marks = Marks(batch.rows)
        mask = Evaluator(batch.arrow, kernel_caller(cache, batch, keeper, marks)).mask(predicate)
        batch = batch.selected(mask, marks.good)
    return batch


def screened(
    batch: Batch, predicates: tuple[Node, ...], nodes: tuple[Node, ...], cache: DriverCache, keeper: BadRowKeeper
) -> Batch:
    """Returns the rows that meet all conditions and on which no kernel in some nodes fails."""
    kept = filtered(batch, predicates, cache, keeper)
    marks = Marks(kept.rows)
    evaluator = Evaluator(kept.arrow, kernel_caller(cache, kept, keeper, marks))
    for node in nodes if kept.rows else ():
        evaluator.array(node)
    return kept if marks.good is None else kept.selected(pa.array(marks.good))


class _Outputs:
    """The arrays a row driver writes: row numbers, and per output its values (of text: offsets, bytes) and validity."""

    def __init__(self, nodes: tuple[Node, ...], rows: int, *, masked: bool) -> None:
        self._nodes = nodes
        self._rows = empty(rows, np.int64)
        self._written = np.zeros(1, np.int64)
        self._values = [_values(n, rows) for n in nodes]
        self._bytes = {j: empty(_TEXT_BYTES * rows, np.uint8) for j, n in enumerate(nodes) if types.is_text(n.dtype)}
        self._valid: list[Array] | None = [empty(rows, np.uint8) for _ in nodes] if masked else None

    def add_validity(self) -> None:
        """Makes room for nulls; what is written so far is none."""
        if self._valid is None:
            self._valid = [np.ones(len(self._rows), np.uint8) for _ in self._nodes]

    def grow(self, output: int) -> None:
        """Makes room for more bytes of text."""
        self._bytes[output] = np.append(self._bytes[output], np.empty(len(self._bytes[output]) + 1, np.uint8))

    def arguments(self) -> tuple[Array, ...]:
        """Returns what a driver is given."""
        out: list[Array] = [self._rows, self._written]
        for j, values in enumerate(self._values):
            out.append(values)
            out += [self._bytes[j]] if j in self._bytes else []
            out += [] if self._valid is None else [self._valid[j]]
        return tuple(out)

    def result(self) -> tuple[Array, list[Column]]:
        """Returns the numbers of the rows that were written, and the columns."""
        count, columns = int(self._written[0]), []
        for j, (node, values) in enumerate(zip(self._nodes, self._values, strict=True)):
            valid = None if self._valid is None else self._valid[j][:count]
            valid = valid if valid is not None and not valid.all() else None
            if j in self._bytes:
                offsets = values[: count + 1]
                columns.append(Column(node.dtype, self._bytes[j][: offsets[-1]], valid, offsets))
            else:
                columns.append(Column(node.dtype, values[:count], valid))
        return self._rows[:count], columns


def _values(node: Node, rows: int) -> Array:
    """Returns the array a driver writes an output to: its values, or the offsets of texts."""
    return np.zeros(rows + 1, np.int64) if types.is_text(node.dtype) else empty(rows, types.numpy_dtype(node.dtype))


def drive_rows(
    cache: DriverCache, predicates: tuple[Node, ...], outputs: tuple[Node, ...], batch: Batch, keeper: BadRowKeeper, *,
    masked: bool,
) -> tuple[Array, list[Column]]:  # fmt: skip
    """Runs a row driver over a batch; returns the row numbers that passed and the computed columns."""
    out, survivor, row = _Outputs(outputs, batch.rows, masked=masked), Survivor(keeper, batch), 0

    def prepared(driver: Driver) -> tuple[Driver, tuple[object, ...]]:
        flags = survivor.flags or ()
        return driver, (*input_arrays(driver, batch), *scalar_arguments(driver), *flags, *out.arguments())

    driver, given = prepared(row_driver(predicates, outputs, masked=masked))
    careful = False
    while row < batch.rows:
        try:
            row, status, detail = drive(cache, driver, row, batch.rows, given)
            if status == FULL:
                out.grow(detail)
                driver, given = prepared(driver)
        except KernelFailed as failed:
            row = survivor.next_row(failed, len(driver.calls))
            if survivor.flags is not None and not careful:  # set in place from then on
                careful = True
                out.add_validity()
                driver, given = prepared(row_driver(predicates, outputs, masked=True, careful=True))
    return out.result()


def kernel_caller(cache: DriverCache, batch: Batch, keeper: BadRowKeeper, marks: Marks) -> KernelCaller:
    """Returns what the vectorised tier calls for a kernel: a driver over the kernel's arguments alone.

    Rows that are to leave the batch get null and are marked.
    """
    outcomes: dict[tuple[Node, tuple[int, ...]], tuple[list[pa.Array], Array, list[Column]]] = {}

    def call(node: Node, args: list[pa.Array], rows: int, places: Places) -> pa.Array:
        if not rows:
            return pa.array([], types.parse_type(node.dtype))
        done, column = called(node, args, _arguments(node, args, batch, places))
        if len(done) == rows:
            return to_arrow(column)
        if keeper.keeps:
            bad = np.delete(np.arange(rows), done)
            marks.add(bad if places is None else places[bad])
        where = np.full(rows, -1, np.int64)
        where[done] = np.arange(len(done))
        return to_arrow(column).take(pa.array(where, mask=where < 0))

    def called(node: Node, args: list[pa.Array], here: Batch) -> tuple[Array, Column]:
        """Returns the rows on which the kernel of a node did not fail, and what the node is there."""
        names = tuple(here.names)
        inputs = tuple(
            Node("col", name=n, dtype=a.dtype, nullable=a.nullable) for n, a in zip(names, node.args, strict=True)
        )
        plain = msgspec.structs.replace(node, args=inputs)
        if node.kernel is None or node.kernel.kind != "batch":
            done, columns = drive_rows(cache, (), (plain,), here, keeper, masked=here.has_nulls(names))
            return done, columns[0]
        # All outputs of one call: the arrays are kept, so that no other can take the place of one in memory.
        key = (msgspec.structs.replace(node, value=None, dtype=""), tuple(map(id, args)))
        if key not in outcomes:
            call = KernelCall(kernel=node.kernel, args=inputs, parameters=node.parameters)
            outcomes[key] = (args, *BatchCall(call, here, cache, keeper).run())
        _, done, columns = outcomes[key]
        return done, columns[int(node.value or 0)]

    return call


def _arguments(node: Node, args: list[pa.Array], batch: Batch, places: Places) -> Batch:
    """Returns a kernel's arguments as a batch whose rows are numbered as those of another."""
    names = [f"a{j}" for j in range(len(args))]
    dtypes = {n: a.dtype for n, a in zip(names, node.args, strict=True)}
    rows = pa.RecordBatch.from_arrays(args, names=names)
    every: slice | Array = slice(None) if places is None else places
    return Batch(rows, {}, dtypes, batch.origin, batch.first_row, numbers=lambda: batch.row_numbers[every])
