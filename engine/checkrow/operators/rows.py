"""Filter and compute the batches of a slice row by row: the work of a stage that does not aggregate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checkrow.compile.cache import DriverCache
from checkrow.compile.driver import Driver, needs_mask, row_driver
from checkrow.compile.emit import fusible
from checkrow.expressions import types
from checkrow.expressions.nodes import Node, columns_of, walk
from checkrow.expressions.types import Field
from checkrow.operators.arrow import to_arrow
from checkrow.operators.batch import Batch
from checkrow.operators.column import Column
from checkrow.operators.drive import KernelFailed, drive
from checkrow.operators.evaluate import Evaluator, KernelCaller
from checkrow.operators.fuse import RangeProof, input_arrays, scalar_arguments

Array = NDArray[Any]


class RowPipeline:
    """Turns batches of a stage's source into batches of its output columns."""

    def __init__(
        self,
        predicates: tuple[Node, ...],
        outputs: tuple[tuple[str, Node], ...],
        cache: DriverCache,
        *,
        fused: bool,
    ) -> None:
        self._predicates = predicates
        self._outputs = outputs
        self._cache = cache
        self._computed = tuple(n for _, n in outputs if n.op != "col" and fusible(n))
        self._nodes = (*predicates, *self._computed)
        self._columns = columns_of(*self._nodes)
        self._proof = RangeProof(self._nodes)
        self._fusible = all(fusible(p) for p in predicates) and bool(self._nodes)
        self._fused = fused
        self._schema = types.arrow_schema(tuple(Field(n, node.dtype, node.nullable) for n, node in outputs))

    def run(self, batch: Batch) -> pa.RecordBatch:
        """Returns the rows that pass, with the output columns."""
        has_kernel = any(n.op == "kernel" for node in self._nodes for n in walk(node))
        if self._fusible and (self._fused or has_kernel) and batch.rows and self._proof.holds(batch):
            return self._drive(batch)
        kept = batch
        for predicate in self._predicates:
            mask = Evaluator(kept.arrow, kernel_caller(self._cache, kept)).mask(predicate)
            kept = kept.selected(mask)
        evaluator = Evaluator(kept.arrow, kernel_caller(self._cache, kept))
        return self._assemble([evaluator.array(node) for _, node in self._outputs])

    def _drive(self, batch: Batch) -> pa.RecordBatch:
        masked = batch.has_nulls(self._columns) or needs_mask(self._nodes)
        rows, columns = drive_rows(self._cache, self._predicates, self._computed, batch, masked=masked)
        kept = batch.arrow.take(pa.array(rows)) if len(rows) < batch.rows else batch.arrow
        evaluator = Evaluator(kept, kernel_caller(self._cache, batch.replaced(kept, lambda row: int(rows[row]))))
        arrays = []
        for _, node in self._outputs:
            if node in self._computed:
                arrays.append(to_arrow(columns[self._computed.index(node)]))
            else:
                arrays.append(evaluator.array(node))
        return self._assemble(arrays)

    def _assemble(self, arrays: list[pa.Array]) -> pa.RecordBatch:
        plain = [a if a.type == f.type else a.cast(f.type) for a, f in zip(arrays, self._schema, strict=True)]
        return pa.RecordBatch.from_arrays(plain, schema=self._schema)


def drive_rows(
    cache: DriverCache, predicates: tuple[Node, ...], outputs: tuple[Node, ...], batch: Batch, *, masked: bool
) -> tuple[Array, list[Column]]:
    """Runs a row driver over a batch; returns the row numbers that passed and the computed columns."""
    driver: Driver = row_driver(predicates, outputs, masked=masked)
    rows, written = np.empty(batch.rows, np.int64), np.zeros(1, np.int64)
    buffers: list[tuple[Array, Array | None]] = []
    tail: list[object] = [rows, written]
    for node in outputs:
        values = np.empty(batch.rows, types.numpy_dtype(node.dtype))
        valid = np.empty(batch.rows, np.uint8) if masked else None
        buffers.append((values, valid))
        tail += [values] if valid is None else [values, valid]
    given = (*input_arrays(driver, batch), *scalar_arguments(driver), *tail)
    try:
        drive(cache, driver, 0, batch.rows, given)
    except KernelFailed as failed:
        raise failed.located(batch.place(failed.row)) from None
    count = int(written[0])
    columns = []
    for node, (values, valid) in zip(outputs, buffers, strict=True):
        some_null = valid is not None and not valid[:count].all()
        columns.append(Column(node.dtype, values[:count], valid[:count] if some_null and valid is not None else None))
    return rows[:count], columns


def kernel_caller(cache: DriverCache, batch: Batch) -> KernelCaller:
    """Returns what the vectorised tier calls for a kernel: a row driver over the kernel's arguments alone."""

    def call(node: Node, args: list[pa.Array], rows: int) -> pa.Array:
        names = [f"a{j}" for j in range(len(args))]
        dtypes = {n: a.dtype for n, a in zip(names, node.args, strict=True)}
        inputs = tuple(
            Node("col", name=n, dtype=a.dtype, nullable=a.nullable) for n, a in zip(names, node.args, strict=True)
        )
        plain = Node(
            "kernel", args=inputs, value=node.value, dtype=node.dtype, nullable=node.nullable, kernel=node.kernel,
            parameters=node.parameters,
        )  # fmt: skip
        if not rows:
            return pa.array([], types.parse_type(node.dtype))
        rows_here = pa.RecordBatch.from_arrays(args, names=names)
        here = Batch(rows_here, {}, dtypes, batch.origin, batch.first_row, numbers=batch.row_number)
        _, columns = drive_rows(cache, (), (plain,), here, masked=here.has_nulls(tuple(names)))
        return to_arrow(columns[0])

    return call
