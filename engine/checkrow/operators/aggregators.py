"""Calling an aggregator's methods on arrays: rows with group numbers, partial states, results."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.buffers import frozen
from checkrow.compile.aggregators import finish_driver, merge_driver, update_driver
from checkrow.compile.cache import DriverCache
from checkrow.compile.driver import Driver
from checkrow.compile.emit import OUT_OF_RANGE
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelCall
from checkrow.operators.bad_rows import Survivor
from checkrow.operators.column import Column
from checkrow.operators.drive import KernelFailed, drive
from checkrow.operators.fuse import input_values, scalar_arguments
from checkrow.plan.aggregates import State

Array = NDArray[Any]


def update_own(
    states: tuple[State, ...], gids: Array, columns: list[Column], arrays: list[Array], cache: DriverCache,
    survivor: Survivor | None,
) -> None:  # fmt: skip
    """Adds rows to the states of several aggregators, in order; one skips a row with a null among its arguments.

    Parameters
    ----------
    states : tuple of State
    gids : ndarray, shape (rows,), int32
    columns : list of Column
        The arguments of all states, one state after the other.
    arrays : list of ndarray
        The arrays of all states likewise.
    survivor : Survivor
        Told of rows on which one of them failed, which are then in none of the states; without it the first such row
        is an error.
    """
    row, rows, driver = 0, len(gids), None
    masked = any(c.valid is not None for c in columns)
    while row < rows:
        flags = survivor.flags if survivor is not None else None
        driver = driver or update_driver(states, masked=masked, careful=flags is not None)
        given: list[Array] = []
        for node in driver.inputs:
            column = columns[int(node.name[1:])]
            given += input_values(node, column)
            if masked and node.nullable:
                given.append(frozen(column.valid if column.valid is not None else np.ones(rows, np.uint8)))
        tail = (*(flags or ()), frozen(gids), *arrays)
        try:
            row, _, _ = drive(cache, driver, row, rows, (*given, *scalar_arguments(driver), *tail))
        except KernelFailed as failed:
            if survivor is None:
                raise failed.located("update() of an aggregator:") from None
            row = survivor.next_row(failed, len(driver.calls))
            driver = None


class OwnState:
    """One aggregator over the groups of a slice or partition; its state arrays belong to the group table."""

    def __init__(self, state: State, call: KernelCall, cache: DriverCache) -> None:
        self._call = call
        self._counted = state.counted
        self._cache = cache

    def merge(self, gids: Array, known: int, others: tuple[Array, ...], arrays: tuple[Array, ...]) -> None:
        """Merges partial states into those of their groups; groups from `known` on are new, numbered as they come."""
        driver = merge_driver(self._call, counted=self._counted)
        rest = (*(frozen(o) for o in others), *arrays)
        # A row on which merge() is called is never the first of its group.
        self._run(driver, len(gids), (frozen(gids), known, *rest), again=(frozen(gids), -1, *rest))

    def finish(self, arrays: tuple[Array, ...], count: int) -> Column:
        """Returns the results of the first `count` groups; null for a group without rows.

        Raises
        ------
        ArithmeticRangeError
            If a value does not fit the declared type.
        """
        field = self._call.kernel.returns[0]
        out = np.zeros(count, types.numpy_dtype(field.dtype))
        driver = finish_driver(self._call, counted=self._counted)
        self._run(driver, count, (*(frozen(a) for a in arrays), out))
        valid = None
        if self._counted and not arrays[-1][:count].all():
            valid = (arrays[-1][:count] != 0).astype(np.uint8)
        return Column(field.dtype, out, valid)

    def _run(self, driver: Driver, rows: int, tail: tuple[object, ...], again: tuple[object, ...] = ()) -> None:
        spec, scalars = driver.calls[0], scalar_arguments(driver)
        where = f"{spec.entry}() of an aggregator:"
        try:
            _, status, _ = drive(self._cache, driver, 0, rows, (*scalars, *tail), (*scalars, *(again or tail)))
        except KernelFailed as failed:
            raise failed.located(where) from None
        if status == OUT_OF_RANGE:
            message = f"returned a value that does not fit {spec.returns[0].dtype}"
            raise KernelFailed(0, spec, "OutOfRange", message).located(where)
