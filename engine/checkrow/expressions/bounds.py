"""Interval arithmetic over expressions: which integers a node can be, given which its columns can be.

Used twice: to prove that a 64-bit computation cannot wrap on a batch, and to skip row groups that cannot match.
Intervals are closed; `None` means nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from checkrow.expressions import types
from checkrow.expressions.nodes import Node

Interval = tuple[int, int]
INT64: Interval = (-(2**63), 2**63 - 1)


def stored_interval(dtype: str) -> Interval | None:
    """Returns the integers a type can store, or None for floats and text."""
    if types.is_float(dtype) or types.is_text(dtype) or not dtype:
        return None
    return types.integer_range(dtype)


def interval(node: Node, columns: Mapping[str, Interval]) -> Interval | None:
    """Returns an interval that holds every stored integer the node can be.

    Parameters
    ----------
    node : Node
        A typed node (see `typing.resolve`).
    columns : mapping of column name to interval
        What is known of the columns; the others are bounded by their type.
    """
    if node.op == "col":
        return columns.get(node.name, stored_interval(node.dtype))
    if node.op == "lit":
        return _literal(node)
    if node.op in _ALWAYS:
        return _ALWAYS[node.op]
    args = [interval(a, columns) for a in node.args]
    rule = _RULES.get(node.op)
    if rule is None or any(a is None for a in args):
        return stored_interval(node.dtype)
    return rule(node, [a for a in args if a is not None])


def _literal(node: Node) -> Interval | None:
    if stored_interval(node.dtype) is None or node.value is None:
        return None
    value = int(node.value)
    return value, value


def _corners(pairs: list[Interval], f: Callable[[int, int], int]) -> Interval:
    (a, b), (c, d) = pairs
    values = [f(x, y) for x in (a, b) for y in (c, d)]
    return min(values), max(values)


def _cast(node: Node, args: list[Interval]) -> Interval | None:
    source, target = node.args[0].dtype, node.dtype
    low, high = args[0]
    if types.is_decimal(target) and not types.is_float(source):
        shift = types.decimal_shape(target)[1] - types.decimal_shape(source)[1]
        if shift >= 0:
            return low * 10**shift, high * 10**shift
    if types.is_integer(source) and types.is_integer(target):
        return low, high
    if types.share_time(source, target):
        factor = types.time_factor(source, target)
        if factor is not None:
            return (low * factor, high * factor) if factor > 0 else (low // -factor, high // -factor)
    return stored_interval(target)


def _union(_node: Node, args: list[Interval]) -> Interval:
    return min(a[0] for a in args), max(a[1] for a in args)


def _case(node: Node, args: list[Interval]) -> Interval:
    return _union(node, [*args[1::2][: len(args) // 2], args[-1]])


_ALWAYS: dict[str, Interval] = {
    "month": (1, 12), "day": (1, 31), "sketch_register": (0, 4095), "sketch_rank": (1, 53),
}  # fmt: skip
_RULES: dict[str, Callable[[Node, list[Interval]], Interval | None]] = {
    "add": lambda _, a: (a[0][0] + a[1][0], a[0][1] + a[1][1]),
    "subtract": lambda _, a: (a[0][0] - a[1][1], a[0][1] - a[1][0]),
    "multiply": lambda _, a: _corners(a, lambda x, y: x * y),
    "negate": lambda _, a: (-a[0][1], -a[0][0]),
    "fill_null": _union,
    "case": _case,
    "cast": _cast,
    "truncate_month": lambda _, a: (a[0][0] - 31, a[0][1]),
    "truncate_year": lambda _, a: (a[0][0] - 366, a[0][1]),
}
