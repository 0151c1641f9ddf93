"""One call of a batch kernel: the whole batch at once, and ever smaller halves of it when that fails.

Invariant: a row's result is what the kernel gives for it, or the row is bad; rows beside it decide nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.buffers import frozen
from checkrow.compile.cache import DriverCache
from checkrow.compile.driver import DONE
from checkrow.compile.groups import WRONG_LENGTH, array_arguments, group_driver
from checkrow.errors import KernelRowError
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelCall
from checkrow.expressions.types import Field
from checkrow.kernels.outputs import argument_dtype, workspace_dtype
from checkrow.kernels.signature import OUT
from checkrow.operators.bad_rows import BadRowKeeper
from checkrow.operators.batch import Batch
from checkrow.operators.column import Column
from checkrow.operators.drive import KernelFailed, drive
from checkrow.operators.fuse import scalar_arguments

Array = NDArray[Any]


class BatchCall:
    """Calls a kernel for the rows of a batch.

    Parameters
    ----------
    call : KernelCall
        Its arguments are columns of the batch.
    batch : Batch
    """

    def __init__(self, call: KernelCall, batch: Batch, cache: DriverCache, keeper: BadRowKeeper) -> None:
        self._spec = call.kernel
        self._columns = {c: batch.column(a.name) for c, a in zip(self._spec.columns, call.args, strict=True)}
        self._batch = batch
        self._cache = cache
        self._keeper = keeper
        self._driver = group_driver(call)
        self._failed: list[int] = []

    def run(self) -> tuple[Array, list[Column]]:
        """Returns the numbers of the rows on which the kernel did not fail, and its columns for them.

        Raises
        ------
        KernelRowError
            On the first row on which it fails, if that ends the run; if it breaks its word on how much it returns, or
            fails on rows together but on none of them alone.
        """
        self._rows = self._without_forbidden()
        self._arrays = [frozen(a) for a in self._arguments()]
        count = len(self._rows)
        self._out = [np.zeros(count, workspace_dtype(f.dtype)) for f in self._spec.returns]
        self._group_of = np.empty(count, np.int32)
        if count:
            self._halve(0, count)
        columns = [Column(f.dtype, _stored(o, f.dtype)) for f, o in zip(self._spec.returns, self._out, strict=True)]
        if not self._failed:
            return self._rows, columns
        good = np.delete(np.arange(count), self._failed)
        return self._rows[good], [c.take(good) for c in columns]

    def _without_forbidden(self) -> Array:
        """Returns the rows without a null that the kernel forbids."""
        missing = np.zeros(self._batch.rows, np.bool_)
        for name, column in self._columns.items():
            if column.valid is None or self._spec.takes_null(name):
                continue
            what = f"forbids nulls but {name!r} is null there; give nulls={{{name!r}: value}} or take {name}_valid"
            for row in np.flatnonzero((column.valid == 0) & ~missing).tolist():
                self._keeper.take(self._batch, KernelFailed(row, self._spec, "NullForbidden", what))
                missing[row] = True
        return np.flatnonzero(~missing)

    def _arguments(self) -> list[Array]:
        """Returns the kernel's arrays for the rows it is called for."""
        fills, out = dict(self._spec.fills), list[Array]()
        for name, is_validity in array_arguments(self._spec):
            column = self._columns[name]
            if types.is_text(column.dtype) and not is_validity:
                *ends, data = column.filled_spans(dict(self._spec.text_fills).get(name, b""))
                out += [*(e[self._rows] for e in ends), data]
                continue
            if is_validity:
                values = np.ones(self._batch.rows, np.bool_) if column.valid is None else column.valid != 0
            else:
                values = column.values.view(np.bool_) if column.dtype == "bool" else column.values
                values = values.astype(argument_dtype(column.dtype), copy=False)
                if column.valid is not None and self._spec.takes_null(name):
                    values = np.where(column.valid != 0, values, values.dtype.type(fills.get(name, 0)))
            out.append(values if len(self._rows) == self._batch.rows else values[self._rows])
        return out

    def _halve(self, first: int, last: int) -> None:
        """Calls the kernel for a range of rows, or for its halves when it fails on the whole."""
        failed = self._try(first, last)
        if failed is None:
            return
        if last - first == 1:
            row = int(self._rows[first])
            self._keeper.take(
                self._batch, KernelFailed(row, self._spec, failed.reason, failed.message, line=failed.line)
            )
            self._failed.append(first)
            return
        before, middle = len(self._failed), (first + last) // 2
        self._halve(first, middle)
        self._halve(middle, last)
        if len(self._failed) == before:
            raise self._error(
                first, last, f"{failed.message}, but not for either half of these rows: what a batch kernel gives for "
                "a row must not depend on the rows beside it"
            )  # fmt: skip

    def _try(self, first: int, last: int) -> KernelFailed | None:
        """Calls the kernel once; returns how it failed."""
        for out in self._out:
            out[first:last] = 0
        given = (
            frozen(np.array([first, last])), *self._arrays, *scalar_arguments(self._driver), 0, len(self._group_of),
            np.array([first]), self._group_of, *self._out,
        )  # fmt: skip
        try:
            _, status, detail = drive(self._cache, self._driver, 0, 1, given)
        except KernelFailed as failed:
            return failed
        if status == DONE:
            return self._beyond(first, last)
        if status == WRONG_LENGTH:
            length, which = divmod(detail, len(self._spec.returns))
            name, rows = self._spec.returns[which].name, last - first
            raise self._error(first, last, f"returned {length} values for {name!r}; it was given {rows} rows")
        return self._out_of_range(self._spec.returns[detail])

    def _beyond(self, first: int, last: int) -> KernelFailed | None:
        """Returns the failure if something was written that its column cannot hold."""
        for field, out in zip(self._spec.returns, self._out, strict=True):
            if OUT in self._spec.arguments and types.may_leave(field.dtype):
                low, high = types.integer_range(field.dtype)
                if out[first:last].min() < low or out[first:last].max() > high:
                    return self._out_of_range(field)
        return None

    def _out_of_range(self, field: Field) -> KernelFailed:
        what = f"returned a value for {field.name!r} that does not fit {field.dtype}"
        return KernelFailed(0, self._spec, "OutOfRange", what)

    def _error(self, first: int, last: int, what: str) -> KernelRowError:
        """Returns the error for rows of which no single one is to blame."""
        numbers = [self._batch.row_number(int(self._rows[n])) for n in (first, last - 1)]
        where = f"{self._batch.origin}, rows {numbers[0]} to {numbers[1]}:"
        return KernelRowError(f"{where} kernel {self._spec.name!r} ({self._spec.place}) {what}")


def _stored(values: Array, dtype: str) -> Array:
    """Returns values that fit as their column has them."""
    return values.view(np.uint8) if dtype == "bool" else values.astype(types.numpy_dtype(dtype), copy=False)
