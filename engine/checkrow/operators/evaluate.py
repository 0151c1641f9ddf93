"""Tier 1: typed expressions over a record batch with vectorised primitives, nothing compiled per plan.

Gives the same values as the fused drivers, bit for bit; overflow is an error, never a wrap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from checkrow.errors import ArithmeticRangeError
from checkrow.expressions import types
from checkrow.expressions.expression import render
from checkrow.expressions.nodes import Node, columns_of, walk
from checkrow.expressions.typing import stored_to_python
from checkrow.lazily import compute as pc
from checkrow.operators.arrow import from_arrow, to_arrow
from checkrow.operators.column import Column, Columns
from checkrow.operators.keys import hash_keys
from checkrow_kernels.calendar import truncate_month_days, truncate_year_days
from checkrow_kernels.sketch import coarse_values, ranks, registers

Array: TypeAlias = pa.Array
Places = np.ndarray[Any, Any] | None
KernelCaller = Callable[[Node, list[Array], int, Places], Array]
"""Calls a kernel: its node, its arguments, the number of rows, and their numbers in the batch where it is not all."""


class Evaluator:
    """Evaluates nodes over one record batch; equal nodes once."""

    def __init__(self, batch: pa.RecordBatch, call_kernel: KernelCaller, places: Places = None) -> None:
        self._batch = batch
        self._call_kernel = call_kernel
        self._places = places
        self._known: dict[Node, Array] = {}

    def array(self, node: Node) -> Array:
        """Returns the values of a node for every row.

        Raises
        ------
        ArithmeticRangeError
            If an exact result does not fit its type or a conversion would lose digits.
        """
        if node not in self._known:
            try:
                self._known[node] = self._evaluate(node)
            except pa.ArrowInvalid as error:
                raise ArithmeticRangeError(f"{render(node)}: {_sentence(error)}") from None
        return self._known[node]

    def mask(self, node: Node) -> Array:
        """Returns a condition with null counted as false."""
        return pc.fill_null(self.array(node), fill_value=False)

    def _evaluate(self, node: Node) -> Array:
        if node.op == "col":
            return self._batch.column(node.name)
        if node.op == "lit":
            return self._literal(node)
        coded = self._on_dictionary(node)
        if coded is not None:
            return coded
        if node.op == "case":
            return self._case(node)
        if node.op == "kernel":
            return self._call_kernel(node, [self.decoded(a) for a in node.args], self._batch.num_rows, self._places)
        args = [self.decoded(a) for a in node.args]
        if node.op == "cast":
            return cast(args[0], node.args[0].dtype, node.dtype)
        return _OPERATIONS[node.op](args, node)

    def decoded(self, node: Node) -> Array:
        """Returns the values of a node, text spelled out."""
        array = self.array(node)
        return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array

    def _literal(self, node: Node) -> Array:
        scalar = pa.scalar(stored_to_python(node), types.parse_type(node.dtype))
        return pa.repeat(scalar, self._batch.num_rows)

    def _on_dictionary(self, node: Node) -> Array | None:
        """Evaluates a test of one dictionary-encoded column once per distinct value instead of once per row."""
        names = columns_of(node)
        if len(names) != 1 or not node.args or not any(types.is_text(a.dtype) for a in node.args):
            return None
        column = self._batch.column(names[0])
        if not pa.types.is_dictionary(column.type) or column.null_count or node.op == "case":
            return None
        if any(n.op == "kernel" for n in walk(node)):
            return None  # a value that no row holds must not fail, and one that fails does so for each of its rows
        values = pa.record_batch([column.dictionary], names=[names[0]])
        distinct = Evaluator(values, self._call_kernel).array(node)
        return distinct.take(column.indices)

    def _case(self, node: Node) -> Array:
        """Evaluates each branch only for the rows that take it, so that a branch not taken cannot fail."""
        rows = self._batch.num_rows
        left = np.arange(rows, dtype=np.int64)
        parts: list[tuple[np.ndarray[Any, Any], Array]] = []
        for condition, value in zip(node.args[0:-1:2], node.args[1::2], strict=False):
            chosen = self._below(left).mask(condition).to_numpy(zero_copy_only=False)
            taken = left[chosen]
            parts.append((taken, self._at(value, taken)))
            left = left[~chosen]
        parts.append((left, self._at(node.args[-1], left)))
        order = np.argsort(np.concatenate([p[0] for p in parts]), kind="stable")
        return pa.concat_arrays([p[1] for p in parts]).take(pa.array(order))

    def _at(self, node: Node, rows: np.ndarray[Any, Any]) -> Array:
        return self._below(rows).decoded(node)

    def _below(self, rows: np.ndarray[Any, Any]) -> Evaluator:
        """Returns an evaluator of some of the rows."""
        places = rows if self._places is None else self._places[rows]
        return Evaluator(self._batch.take(pa.array(rows)), self._call_kernel, places)


def _sentence(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def cast(array: Array, source: str, target: str) -> Array:
    """Returns values converted to another type; a value that does not fit raises ArrowInvalid."""
    wanted = types.parse_type(target)
    if types.is_decimal(source) and target in {"double", "float"} and not types.is_wide(source):
        # The same arithmetic as the fused drivers: exact integer, one division.
        whole = _unscaled(array).cast(pa.float64(), safe=False)
        quotient = pc.divide(whole, pa.scalar(float(10 ** types.decimal_shape(source)[1])))
        return quotient.cast(wanted)
    if types.is_integer(source) and types.is_decimal(target):
        # Arrow asks for room for every int64; only the values have to fit.
        return array.cast(pa.decimal128(38, wanted.scale)).cast(wanted)
    if types.is_integer(source) and types.is_float(target):
        return array.cast(wanted, safe=False)
    if source == "double" and target == "float":
        return _narrowed(array)
    if types.is_temporal(source) and target == "date32[day]":
        # Without its zone: Arrow would floor to the local midnight, and dates are those of UTC.
        utc = array.cast(pa.int64()).cast(pa.timestamp(array.type.unit))
        return pc.floor_temporal(utc, unit="day").cast(wanted)
    if source == "date32[day]" and types.is_integer(target):
        return array.cast(pa.int32()).cast(wanted)
    if target == "date32[day]" and types.is_integer(source):
        return array.cast(pa.int32()).cast(wanted)
    return array.cast(wanted)


def _narrowed(array: Array) -> Array:
    """Returns doubles as floats; raises ArrowInvalid for a number that only infinity could stand for."""
    out = array.cast(pa.float32(), safe=False)
    lost = pc.and_(pc.is_finite(array), pc.is_inf(out))
    if pc.any(lost).as_py():
        first = array.filter(lost)[0]
        raise pa.ArrowInvalid(f"{first} does not fit float")
    return out


def _unscaled(array: Array) -> Array:
    """Returns the unscaled integers of a decimal array of at most 18 digits."""
    words = (
        np.frombuffer(array.buffers()[1], np.int64, 2 * len(array), 16 * array.offset) if len(array) else np.empty(0)
    )
    valid = array.is_valid().to_numpy(zero_copy_only=False) if array.null_count else None
    low = np.ascontiguousarray(words[::2]).astype(np.int64)
    return pa.array(low, mask=None if valid is None else ~valid)


def _decimal(name: str) -> Callable[[list[Array], Node], Array]:
    def run(args: list[Array], node: Node) -> Array:
        checked = getattr(pc, f"{name}_checked")
        wanted = types.parse_type(node.dtype)
        if types.is_decimal(node.dtype):
            # Arrow widens by its own rule; 256 bits leave room before the result's digits are checked.
            room = 37 if name == "multiply" else 38
            wide = [a.cast(pa.decimal256(room, a.type.scale)) for a in args]
            return checked(*wide).cast(wanted)
        if node.dtype == "date32[day]":
            days = [a.cast(pa.int32()).cast(pa.int64()) if pa.types.is_date(a.type) else a for a in args]
            return checked(*days).cast(pa.int32()).cast(wanted)
        if any(pa.types.is_date(a.type) for a in args):
            return checked(*(a.cast(pa.int32()).cast(pa.int64()) for a in args))
        return (getattr(pc, name) if types.is_float(node.dtype) else checked)(*args)

    return run


def _negate(args: list[Array], node: Node) -> Array:
    return pc.negate(args[0]) if types.is_float(node.dtype) else pc.negate_checked(args[0].cast(args[0].type))


def _compare(name: str) -> Callable[[list[Array], Node], Array]:
    def run(args: list[Array], _node: Node) -> Array:
        a, b = args
        if pa.types.is_decimal(a.type) and a.type != b.type:
            precision = max(a.type.precision, b.type.precision)
            a, b = (x.cast(pa.decimal128(precision, x.type.scale)) for x in (a, b))
        return getattr(pc, name)(a, b)

    return run


def _part(name: str) -> Callable[[list[Array], Node], Array]:
    return lambda args, _node: getattr(pc, name)(args[0])


def _truncate(function: Callable[..., None]) -> Callable[[list[Array], Node], Array]:
    def run(args: list[Array], _node: Node) -> Array:
        days = args[0].cast(pa.int32())
        filled = pc.fill_null(days, 0).to_numpy(zero_copy_only=False)
        out = np.empty(len(filled), np.int32)
        function(np.ascontiguousarray(filled), out)
        mask = days.is_null().to_numpy(zero_copy_only=False) if days.null_count else None
        return pa.array(out, pa.int32(), mask=mask).cast(pa.date32())

    return run


def _coarse(args: list[Array], _node: Node) -> Array:
    column = from_arrow(args[0], "double")
    out = np.empty(len(column))
    coarse_values(column.values, out)
    return to_arrow(Column("double", out, column.valid))


def _sketch(function: Callable[..., None]) -> Callable[[list[Array], Node], Array]:
    def run(args: list[Array], node: Node) -> Array:
        column = from_arrow(args[0], node.args[0].dtype)
        out = np.empty(len(column), types.numpy_dtype(node.dtype))
        function(hash_keys(Columns(("",), (column,), len(column)), 1), out)
        return to_arrow(Column(node.dtype, out, column.valid))

    return run


_OPERATIONS: dict[str, Callable[[list[Array], Node], Array]] = {
    "add": _decimal("add"),
    "subtract": _decimal("subtract"),
    "multiply": _decimal("multiply"),
    "divide": lambda args, _: pc.divide(*args),
    "negate": _negate,
    "equal": _compare("equal"),
    "not_equal": _compare("not_equal"),
    "less": _compare("less"),
    "less_equal": _compare("less_equal"),
    "greater": _compare("greater"),
    "greater_equal": _compare("greater_equal"),
    "and": lambda args, _: pc.and_kleene(*args),
    "or": lambda args, _: pc.or_kleene(*args),
    "not": lambda args, _: pc.invert(args[0]),
    "is_null": lambda args, _: pc.is_null(args[0]),
    "fill_null": lambda args, _: pc.coalesce(*args),
    "year": _part("year"),
    "month": _part("month"),
    "day": _part("day"),
    "truncate_month": _truncate(truncate_month_days),
    "truncate_year": _truncate(truncate_year_days),
    "coarse": _coarse,
    "sketch_register": _sketch(registers),
    "sketch_rank": _sketch(ranks),
}
