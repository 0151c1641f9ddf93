"""`Expr`, the fluent face of a node, with `col`, `lit`, `when` and `coalesce`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import pyarrow as pa

from checkrow.errors import PlanError
from checkrow.expressions.literals import literal
from checkrow.expressions.nodes import Node, OrderKey, column
from checkrow.expressions.types import UNSUPPORTED, parse_type, type_text


class Ordering:
    """An expression to order by, in descending order; made by `Expr.desc`."""

    __slots__ = ("key",)

    def __init__(self, key: OrderKey) -> None:
        self.key = key

    def __repr__(self) -> str:
        return f"Ordering({render(self.key.node)} descending)"


class Expr:
    """A column expression; build one with `col`, `lit` or `when` and combine with operators.

    Examples
    --------
    >>> from checkrow.expressions.expression import col
    >>> (col("price") * (1 - col("discount")) > 100).node.op
    'greater'
    """

    __slots__ = ("name", "node")
    __hash__ = None  # type: ignore[assignment]  # == builds an expression

    def __init__(self, node: Node, name: str = "") -> None:
        self.node = node
        self.name = name or (node.name if node.op == "col" else "")

    def __repr__(self) -> str:
        return f"Expr({render(self.node)})"

    def __bool__(self) -> bool:
        raise PlanError("an expression has no truth value; use & | ~ instead of and, or, not")

    def alias(self, name: str) -> Expr:
        """Returns the expression under another column name."""
        return Expr(self.node, name)

    def desc(self) -> Ordering:
        """Returns the expression as something to order by, greatest first; nulls come last all the same."""
        return Ordering(OrderKey(self.node, descending=True))

    def cast(self, dtype: pa.DataType) -> Expr:
        """Returns the expression converted to an Arrow type; a value that does not fit is an error at run time."""
        text = type_text(dtype)
        if text.startswith(UNSUPPORTED):
            parse_type(text)
        return Expr(Node("cast", args=(self.node,), dtype=text), self.name)

    def is_null(self) -> Expr:
        """Returns true where the value is null; NaN is not null."""
        return self._call("is_null")

    def is_not_null(self) -> Expr:
        """Returns true where the value is not null."""
        return ~self.is_null()

    def fill_null(self, value: object) -> Expr:
        """Returns the value, or another where it is null."""
        return Expr(Node("fill_null", args=(self.node, as_node(value))), self.name)

    def is_in(self, values: list[object] | tuple[object, ...] | set[object]) -> Expr:
        """Returns true where the value equals one of the given values."""
        if not values:
            raise PlanError("is_in() needs at least one value")
        tests = [Node("equal", args=(self.node, as_node(v))) for v in values]
        node = tests[0]
        for test in tests[1:]:
            node = Node("or", args=(node, test))
        return Expr(node)

    def between(self, low: object, high: object, closed: str = "both") -> Expr:
        """Returns true where `low <= value <= high`; `closed` is "both", "left", "right" or "neither"."""
        if closed not in {"both", "left", "right", "neither"}:
            raise PlanError(f"closed={closed!r} is not one of 'both', 'left', 'right', 'neither'")
        above = "greater_equal" if closed in {"both", "left"} else "greater"
        below = "less_equal" if closed in {"both", "right"} else "less"
        return self._call(above, low) & self._call(below, high)

    @property
    def dt(self) -> DateParts:
        """Calendar parts of dates and timestamps, in UTC."""
        return DateParts(self)

    def _call(self, op: str, *others: object) -> Expr:
        return Expr(Node(op, args=(self.node, *(as_node(o) for o in others))))

    def _reverse(self, op: str, other: object) -> Expr:
        return Expr(Node(op, args=(as_node(other), self.node)))

    def __add__(self, other: object) -> Expr:
        return self._call("add", other)

    def __radd__(self, other: object) -> Expr:
        return self._reverse("add", other)

    def __sub__(self, other: object) -> Expr:
        return self._call("subtract", other)

    def __rsub__(self, other: object) -> Expr:
        return self._reverse("subtract", other)

    def __mul__(self, other: object) -> Expr:
        return self._call("multiply", other)

    def __rmul__(self, other: object) -> Expr:
        return self._reverse("multiply", other)

    def __truediv__(self, other: object) -> Expr:
        return self._call("divide", other)

    def __rtruediv__(self, other: object) -> Expr:
        return self._reverse("divide", other)

    def __neg__(self) -> Expr:
        return self._call("negate")

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return self._call("equal", other)

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return self._call("not_equal", other)

    def __lt__(self, other: object) -> Expr:
        return self._call("less", other)

    def __le__(self, other: object) -> Expr:
        return self._call("less_equal", other)

    def __gt__(self, other: object) -> Expr:
        return self._call("greater", other)

    def __ge__(self, other: object) -> Expr:
        return self._call("greater_equal", other)

    def __and__(self, other: object) -> Expr:
        return self._call("and", other)

    def __rand__(self, other: object) -> Expr:
        return self._reverse("and", other)

    def __or__(self, other: object) -> Expr:
        return self._call("or", other)

    def __ror__(self, other: object) -> Expr:
        return self._reverse("or", other)

    def __invert__(self) -> Expr:
        return self._call("not")


class DateParts:
    """Calendar parts of a date or timestamp expression (UTC)."""

    __slots__ = ("_expr",)

    def __init__(self, expr: Expr) -> None:
        self._expr = expr

    def year(self) -> Expr:
        """Returns the civil year as int64."""
        return Expr(Node("year", args=(self._expr.node,)))

    def month(self) -> Expr:
        """Returns the month, 1 to 12, as int64."""
        return Expr(Node("month", args=(self._expr.node,)))

    def day(self) -> Expr:
        """Returns the day of the month, 1 to 31, as int64."""
        return Expr(Node("day", args=(self._expr.node,)))

    def truncate(self, unit: str) -> Expr:
        """Returns the first date of the "month" or "year" the value lies in, as date32."""
        if unit not in {"month", "year"}:
            raise PlanError(f"truncate({unit!r}) is not supported; use 'month' or 'year'")
        return Expr(Node(f"truncate_{unit}", args=(self._expr.node,)))


class When:
    """A chain of conditions that waits for its values."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: tuple[Node, ...]) -> None:
        self._pairs = pairs

    def then(self, value: object) -> Case:
        """Gives the value for the last condition."""
        return Case((*self._pairs, as_node(value)))


class Case(Expr):
    """A chain of conditions with values; null where none holds, unless `otherwise` says more."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: tuple[Node, ...]) -> None:
        super().__init__(Node("case", args=(*pairs, Node("lit", dtype="", nullable=True))))
        self._pairs = pairs

    def when(self, condition: Expr) -> When:
        """Adds a condition, tried where none before it held."""
        return When((*self._pairs, as_node(condition)))

    def otherwise(self, value: object) -> Expr:
        """Gives the value where no condition holds."""
        return Expr(Node("case", args=(*self._pairs, as_node(value))))


OrderBy: TypeAlias = "str | Expr | Ordering | Sequence[str | Expr | Ordering]"
"""What to order by: a column, an expression, `col(...).desc()`, or several, the first counting most."""


def order_keys(order_by: OrderBy) -> tuple[OrderKey, ...]:
    """Returns what to order by as keys."""
    given = (order_by,) if isinstance(order_by, (str, Expr, Ordering)) else tuple(order_by)
    return tuple(_order_key(o) for o in given)


def _order_key(given: str | Expr | Ordering) -> OrderKey:
    if isinstance(given, Ordering):
        return given.key
    return OrderKey(column(given) if isinstance(given, str) else as_node(given))


def as_node(value: object) -> Node:
    """Returns the node of an expression or of a Python value."""
    return value.node if isinstance(value, Expr) else literal(value)


def col(name: str) -> Expr:
    """Returns a reference to a column.

    Examples
    --------
    >>> col("price") * 2
    Expr((price * 2))
    """
    return Expr(column(name))


def lit(value: object) -> Expr:
    """Returns a literal: a number, text, Decimal, date, datetime or timedelta.

    Examples
    --------
    >>> lit(3)
    Expr(3)
    """
    return Expr(literal(value))


def when(condition: Expr) -> When:
    """Starts a conditional expression: `when(c).then(v).otherwise(w)`.

    Examples
    --------
    >>> when(col("x") > 0).then(1).otherwise(0)
    Expr(case((x > 0), 1, 0))
    """
    return When((as_node(condition),))


def coalesce(first: object, *others: object) -> Expr:
    """Returns the first value that is not null.

    Examples
    --------
    >>> coalesce(col("a"), 0)
    Expr(fill_null(a, 0))
    """
    node = as_node(first)
    for other in others:
        node = Node("fill_null", args=(node, as_node(other)))
    return Expr(node)


_SIGNS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "equal": "==", "not_equal": "!=", "less": "<",
    "less_equal": "<=", "greater": ">", "greater_equal": ">=", "and": "&", "or": "|",
}  # fmt: skip


def render(node: Node) -> str:
    """Returns a node as one line of text for `explain` and messages."""
    if node.op == "col":
        return node.name
    if node.op == "lit":
        return repr(node.value)
    args = [render(a) for a in node.args]
    if node.op in _SIGNS:
        return f"({args[0]} {_SIGNS[node.op]} {args[1]})"
    if node.op == "cast":
        return f"cast({args[0]}, {node.dtype})"
    if node.op == "kernel" and node.kernel is not None:
        output = node.kernel.returns[int(node.value or 0)].name
        return f"{node.kernel.name}({', '.join(args)}).{output}"
    return f"{node.op}({', '.join(args)})"
