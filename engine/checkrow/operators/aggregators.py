"""Calling an aggregator's methods on arrays: rows with group numbers, partial states, results."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.compile.aggregators import finish_driver, merge_driver, update_driver
from checkrow.compile.cache import DriverCache
from checkrow.compile.driver import Driver
from checkrow.compile.emit import OUT_OF_RANGE
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelCall
from checkrow.operators.batch import frozen
from checkrow.operators.column import Column
from checkrow.operators.drive import KernelFailed, drive
from checkrow.operators.fuse import scalar_arguments
from checkrow.plan.aggregates import State

Array = NDArray[Any]


class OwnState:
    """One aggregator over the groups of a slice or partition; its state arrays belong to the group table."""

    def __init__(self, state: State, call: KernelCall, cache: DriverCache) -> None:
        self._call = call
        self._counted = state.counted
        self._cache = cache

    def update(self, gids: Array, columns: tuple[Column, ...], arrays: tuple[Array, ...]) -> None:
        """Adds rows to the states of their groups, in order; rows with a null are skipped."""
        masked = any(c.valid is not None for c in columns)
        driver = update_driver(self._call, counted=self._counted, masked=masked)
        given: list[Array] = []
        for node in driver.inputs:
            column = columns[int(node.name[1:])]
            given.append(frozen(column.values))
            if masked and node.nullable:
                valid = column.valid if column.valid is not None else np.ones(len(gids), np.uint8)
                given.append(frozen(valid))
        self._run(driver, len(gids), given, (frozen(gids), *arrays))

    def merge(self, gids: Array, known: int, others: tuple[Array, ...], arrays: tuple[Array, ...]) -> None:
        """Merges partial states into those of their groups; groups from `known` on are new, numbered as they come."""
        driver = merge_driver(self._call, counted=self._counted)
        self._run(driver, len(gids), [], (frozen(gids), known, *(frozen(o) for o in others), *arrays))

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
        self._run(driver, count, [], (*(frozen(a) for a in arrays), out))
        valid = None
        if self._counted and not arrays[-1][:count].all():
            valid = (arrays[-1][:count] != 0).astype(np.uint8)
        return Column(field.dtype, out, valid)

    def _run(self, driver: Driver, rows: int, given: list[Array], tail: tuple[object, ...]) -> None:
        spec = driver.calls[0]
        where = f"{spec.entry}() of an aggregator:"
        try:
            _, status, _ = drive(self._cache, driver, 0, rows, (*given, *scalar_arguments(driver), *tail))
        except KernelFailed as failed:
            raise failed.located(where) from None
        if status == OUT_OF_RANGE:
            message = f"returned a value that does not fit {spec.returns[0].dtype}"
            raise KernelFailed(0, spec, "OutOfRange", message).located(where)
