"""Built-in aggregates as the user writes them: `cr.sum("x")`, `cr.mean(col("x") * 2)`."""

from __future__ import annotations

from checkrow.expressions.aggregates import AggregateCall, AggregateExpr, argument
from checkrow.expressions.expression import Expr


def sum(value: str | Expr) -> AggregateExpr:  # noqa: A001  # the field's word
    """Sums values exactly; integers give int64 and decimals decimal(38), and an overflow is an error.

    Examples
    --------
    >>> sum("amount").function
    'sum'
    """
    return _simple("sum", value)


def min(value: str | Expr) -> AggregateExpr:  # noqa: A001  # the field's word
    """Takes the smallest value; NaN counts as greater than every number."""
    return _simple("min", value)


def max(value: str | Expr) -> AggregateExpr:  # noqa: A001  # the field's word
    """Takes the greatest value; NaN counts as greater than every number."""
    return _simple("max", value)


def mean(value: str | Expr) -> AggregateExpr:
    """Takes the mean as float64; of integers and decimals from their exact sum."""
    return _simple("mean", value)


def count(value: str | Expr | None = None) -> AggregateExpr:
    """Counts rows, or the values that are not null."""
    return AggregateExpr(AggregateCall("", "count")) if value is None else _simple("count", value)


def _simple(function: str, value: str | Expr) -> AggregateExpr:
    return AggregateExpr(AggregateCall("", function, argument(function, value)))
