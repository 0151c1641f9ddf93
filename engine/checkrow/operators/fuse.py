"""Deciding batch by batch whether the fused driver may run, and what it is given.

The fused tier computes in 64 bits without tests in the loop; it runs on a batch only when interval arithmetic over the
batch's actual values proves that nothing can wrap. Otherwise the vectorised tier, which checks, takes the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.buffers import frozen
from checkrow.compile.driver import Driver, literal_argument
from checkrow.compile.fusible import fusible, reads_text
from checkrow.expressions import types
from checkrow.expressions.bounds import INT64, Interval, interval, stored_interval
from checkrow.expressions.nodes import Node, columns_of, walk
from checkrow.operators.batch import Batch
from checkrow.operators.column import Column
from checkrow_kernels.text import Text

Array = NDArray[Any]
_ARITHMETIC = {"add", "subtract", "multiply", "negate", "cast"}


class Envelope:
    """The ranges that columns took in all batches so far; most batches bring nothing new."""

    def __init__(self) -> None:
        self.ranges: dict[str, Interval] = {}

    def widen(self, ranges: dict[str, Interval]) -> bool:
        """Takes in the ranges of a batch; tells whether they left what was known."""
        grown = False
        for name, (low, high) in ranges.items():
            known = self.ranges.get(name)
            if known is None or low < known[0] or high > known[1]:
                self.ranges[name] = (low, high) if known is None else (min(low, known[0]), max(high, known[1]))
                grown = True
        return grown


class RangeProof:
    """Which nodes of a pipeline need their batch's ranges to be known safe in 64 bits."""

    def __init__(self, nodes: tuple[Node, ...]) -> None:
        risky = [n for node in nodes for n in walk(node) if _can_wrap(n)]
        self.nodes = tuple(dict.fromkeys(risky))
        self.columns = columns_of(*self.nodes)
        self._envelope = Envelope()
        self._proven = False

    def holds(self, batch: Batch) -> bool:
        """Tells whether no node can leave its type on this batch."""
        if not self.nodes:
            return True
        ranges = batch.ranges(self.columns)
        if self._envelope.widen(ranges) or not self.columns:
            self._proven = all(_within(node, self._envelope.ranges) for node in self.nodes)
        # One wild batch spoils the envelope; a tame one after it is still proved by itself.
        return self._proven or all(_within(node, ranges) for node in self.nodes)


def _can_wrap(node: Node) -> bool:
    """Tells whether a node may leave its type when its columns take any value of theirs."""
    if node.op not in _ARITHMETIC or types.is_float(node.dtype) or not fusible(node):
        return False
    return not _within(node, {})


def _within(node: Node, ranges: dict[str, Interval]) -> bool:
    # The raw interval of the operation, before its result is assumed to be of its type.
    found = interval(node, ranges)
    allowed = stored_interval(node.dtype) or INT64
    return found is not None and allowed[0] <= found[0] and found[1] <= allowed[1]


def input_arrays(driver: Driver, batch: Batch) -> list[Array]:
    """Returns a driver's input arrays for a batch: values, then validity where the variant takes it."""
    out: list[Array] = []
    for node in driver.inputs:
        column = batch.column(node.name)
        out += input_values(node, column)
        if driver.masked and node.nullable:
            valid = column.valid if column.valid is not None else np.ones(batch.rows, np.uint8)
            out.append(frozen(valid))
    return out


def input_values(node: Node, column: Column) -> list[Array]:
    """Returns the arrays in which a driver reads an input: three for text (see `Column.spans`), one for all else."""
    arrays = column.spans() if reads_text(node) else (column.values,)
    return [frozen(a) for a in arrays]


def scalar_arguments(driver: Driver) -> list[object]:
    """Returns a driver's literals and kernel parameters, in order."""
    literals = [_literal(n) for n in driver.literals]
    parameters: list[object] = [_parameter(v) for _, v in driver.parameters]
    return literals + parameters


def _literal(node: Node) -> object:
    value = node.value
    if types.is_decimal(node.dtype):
        value = int(value or 0)
    return np.dtype(literal_argument(node)).type(value)


def _parameter(value: float | bool | Text) -> object:
    if isinstance(value, Text):
        return value
    if isinstance(value, bool):
        return np.bool_(value)
    return np.int64(value) if isinstance(value, int) else np.float64(value)
