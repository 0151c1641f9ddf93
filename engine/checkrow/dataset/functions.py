"""Built-in aggregates as the user writes them: `cr.sum("x")`, `cr.mean(col("x") * 2)`."""

from __future__ import annotations

from dataclasses import dataclass

from checkrow.errors import PlanError
from checkrow.expressions.expression import Expr
from checkrow.expressions.nodes import Node, column
from checkrow.plan.aggregates import AggregateCall


@dataclass(frozen=True, slots=True)
class AggregateExpr:
    """An aggregate function and its argument; `.agg(name=...)` names it."""

    function: str
    arg: Node | None

    def named(self, name: str) -> AggregateCall:
        """Returns the call under an output name."""
        return AggregateCall(name, self.function, self.arg)


def _argument(function: str, value: str | Expr) -> Node:
    if isinstance(value, Expr):
        return value.node
    if isinstance(value, str):
        return column(value)
    raise PlanError(f"{function}() takes a column name or an expression, not {value!r}")


def sum(value: str | Expr) -> AggregateExpr:  # noqa: A001  # the field's word
    """Sums values exactly; integers give int64 and decimals decimal(38), and an overflow is an error.

    Examples
    --------
    >>> sum("amount").function
    'sum'
    """
    return AggregateExpr("sum", _argument("sum", value))


def min(value: str | Expr) -> AggregateExpr:  # noqa: A001  # the field's word
    """Takes the smallest value; NaN counts as greater than every number."""
    return AggregateExpr("min", _argument("min", value))


def max(value: str | Expr) -> AggregateExpr:  # noqa: A001  # the field's word
    """Takes the greatest value; NaN counts as greater than every number."""
    return AggregateExpr("max", _argument("max", value))


def mean(value: str | Expr) -> AggregateExpr:
    """Takes the mean as float64; of integers and decimals from their exact sum."""
    return AggregateExpr("mean", _argument("mean", value))


def count(value: str | Expr | None = None) -> AggregateExpr:
    """Counts rows, or the values that are not null."""
    return AggregateExpr("count", None if value is None else _argument("count", value))
