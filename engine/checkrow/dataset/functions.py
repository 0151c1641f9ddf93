"""Built-in aggregates as the user writes them: `cr.sum("x")`, `cr.mean(col("x") * 2)`."""

from __future__ import annotations

from checkrow.errors import PlanError
from checkrow.expressions.aggregates import AggregateCall, AggregateExpr, argument
from checkrow.expressions.expression import Expr, OrderBy, order_keys


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


def count_distinct(value: str | Expr) -> AggregateExpr:
    """Counts the different values that are not null; NaN counts as one value."""
    return _simple("count_distinct", value)


def approx_distinct(value: str | Expr) -> AggregateExpr:
    """Estimates the number of different values that are not null, with a standard error of 1.6 %.

    A group is summed up in at most 4,096 numbers, so it may be of any size. Two runs over equal rows agree.
    """
    return _simple("approx_distinct", value)


def first(value: str | Expr, *, order_by: OrderBy) -> AggregateExpr:
    """Takes the value, null or not, of the row that comes first.

    Parameters
    ----------
    value : column or expression
    order_by : column, expression, `col(...).desc()` or a list of them
        Rows with a null in it come last; of rows that tie, the one read first is taken.

    Examples
    --------
    >>> first("price", order_by="ts").function
    'first'
    """
    return _ordered("first", value, order_by)


def last(value: str | Expr, *, order_by: OrderBy) -> AggregateExpr:
    """Takes the value, null or not, of the row that comes last.

    A row with a null in `order_by` is taken only if there is no other; of rows that tie, the one read last is taken.
    """
    return _ordered("last", value, order_by)


def var(value: str | Expr, *, ddof: int = 1) -> AggregateExpr:
    """Takes the variance, `ddof` degrees of freedom taken off; null when none is left.

    Computed in one pass without cancellation (Welford; Chan, Golub and LeVeque).
    """
    return _spread("var", value, ddof)


def std(value: str | Expr, *, ddof: int = 1) -> AggregateExpr:
    """Takes the standard deviation, `ddof` degrees of freedom taken off; null when none is left."""
    return _spread("std", value, ddof)


def median(value: str | Expr) -> AggregateExpr:
    """Takes the middle value as float64, the mean of the two in the middle where there is none; exact."""
    return quantile(value, 0.5)


def quantile(value: str | Expr, q: float) -> AggregateExpr:
    """Takes the value below which a share `q` of the values lies, as float64, interpolated between neighbours; exact.

    NaN counts as the greatest value. Every different value of a group is kept once: see `approx_quantile` for groups
    with many.
    """
    return _quantile("quantile", value, q)


def approx_quantile(value: str | Expr, q: float) -> AggregateExpr:
    """Takes the quantile of the values rounded to 12 significant bits: within 0.025 % of `quantile`.

    A group is summed up in a few thousand numbers, so it may be of any size. Two runs over equal rows agree.
    """
    return _quantile("approx_quantile", value, q)


def _quantile(function: str, value: str | Expr, q: float) -> AggregateExpr:
    if not 0.0 <= q <= 1.0:
        raise PlanError(f"{function}(..., {q!r}): the share must be from 0 to 1")
    return AggregateExpr(AggregateCall("", function, argument(function, value), option=float(q)))


def _spread(function: str, value: str | Expr, ddof: int) -> AggregateExpr:
    if ddof < 0:
        raise PlanError(f"{function}(..., ddof={ddof!r}): it must be 0 or more")
    return AggregateExpr(AggregateCall("", function, argument(function, value), option=float(ddof)))


def _ordered(function: str, value: str | Expr, order_by: OrderBy) -> AggregateExpr:
    order = order_keys(order_by)
    if not order:
        raise PlanError(f"{function}() needs order_by: without an order no row comes {function}")
    return AggregateExpr(AggregateCall("", function, argument(function, value), order=order))


def _simple(function: str, value: str | Expr) -> AggregateExpr:
    return AggregateExpr(AggregateCall("", function, argument(function, value)))
