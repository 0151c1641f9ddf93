"""Python values as literal nodes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from checkrow.errors import PlanError
from checkrow.expressions.nodes import Node, Scalar
from checkrow.expressions.types import decimal_text

_EPOCH = dt.date(1970, 1, 1)
_EPOCH_TIME = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def literal(value: object) -> Node:
    """Returns the literal node of a Python value.

    Parameters
    ----------
    value : None, bool, int, float, str, bytes-free scalar, Decimal, date, datetime or timedelta
        Naive datetimes are UTC.

    Raises
    ------
    PlanError
        If the value has no column type.
    """
    stored, dtype = _stored(value)
    return Node("lit", value=stored, dtype=dtype, nullable=value is None)


def _stored(value: object) -> tuple[Scalar, str]:
    match value:
        case None:
            return None, ""
        case bool():
            return value, "bool"
        case int():
            if not -(2**63) <= value < 2**64:
                raise PlanError(f"the integer {value} does not fit 64 bits")
            return value, "int64" if value < 2**63 else "uint64"
        case float():
            return value, "double"
        case str():
            return value, "string"
        case Decimal():
            return _decimal(value)
        case dt.datetime():
            aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
            zone = ", tz=UTC" if value.tzinfo else ""
            return (aware - _EPOCH_TIME) // _MICROSECOND, f"timestamp[us{zone}]"
        case dt.date():
            return (value - _EPOCH).days, "date32[day]"
        case dt.timedelta():
            return value // _MICROSECOND, "duration[us]"
    raise PlanError(f"a value of type {type(value).__name__} cannot be a literal; use numbers, text, dates or Decimal")


def _decimal(value: Decimal) -> tuple[Scalar, str]:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise PlanError(f"the decimal {value} is not a number")
    scale = max(0, -exponent)
    unscaled = int("".join(map(str, digits))) * 10 ** max(0, exponent)
    precision = max(len(str(unscaled)), scale, 1)
    if precision > 38:
        raise PlanError(f"the decimal {value} needs {precision} digits; 38 are allowed")
    return str(-unscaled if sign else unscaled), decimal_text(precision, scale)
