"""The table of operations: for each its arity and the rule that types it.

Arguments reach a rule already resolved; the rule returns the types the arguments are cast to and the result's type.
Decimal rules are DuckDB's (checked against DuckDB in tests/expressions).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pyarrow as pa

from checkrow.errors import SchemaError
from checkrow.expressions import types
from checkrow.expressions.nodes import Node

Rule = Callable[[str, tuple[Node, ...]], tuple[tuple[str, ...], str]]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """How an operation is typed and whether a null argument makes its result null."""

    arity: int
    rule: Rule
    propagates: bool = True


def _refuse(op: str, args: tuple[Node, ...]) -> SchemaError:
    kinds = " and ".join(a.dtype for a in args)
    names = [a.name for a in args if a.op == "col"]
    where = f" (column {', '.join(repr(n) for n in names)})" if names else ""
    return SchemaError(f"'{op}' is not defined for {kinds}{where}; cast one side")


def _fits(node: Node, dtype: str) -> bool:
    low, high = types.integer_range(dtype)
    return node.op == "lit" and isinstance(node.value, int) and low <= node.value <= high


def integer_operand(node: Node, other: Node) -> str:
    """Returns the type an integer takes beside another: literals adopt the other side's type when they fit."""
    return other.dtype if types.is_integer(other.dtype) and _fits(node, other.dtype) else node.dtype


def _wider_integer(op: str, args: tuple[Node, ...]) -> str:
    left, right = integer_operand(args[0], args[1]), integer_operand(args[1], args[0])
    a, b = types.parse_type(left), types.parse_type(right)
    if left == right:
        return left
    signed = pa.types.is_signed_integer(a) or pa.types.is_signed_integer(b)
    if not signed:
        return left if a.byte_width >= b.byte_width else right
    width = max(t.byte_width * (1 if pa.types.is_signed_integer(t) else 2) for t in (a, b))
    if width > 8:
        raise SchemaError(f"'{op}' of {left} and {right} may not fit 64 bits; cast the uint64 side to int64")
    return f"int{width * 8}"


def decimal_operand(node: Node) -> tuple[int, int]:
    """Returns the decimal shape of an operand; an integer literal takes only the digits it has."""
    if node.op == "lit" and types.is_integer(node.dtype):
        return len(str(abs(int(node.value or 0)))), 0
    return types.decimal_shape(node.dtype)


def _sum_shape(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    scale = max(a[1], b[1])
    return min(38, max(a[0] - a[1], b[0] - b[1]) + scale + 1), scale


def _product_shape(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    precision, scale = a[0] + b[0], a[1] + b[1]
    if scale > 38:
        raise SchemaError(f"the product of decimals with scales {a[1]} and {b[1]} needs more than 38 decimal places")
    # As DuckDB: two one-word operands give a one-word result, whose overflow is an error.
    narrow = max(a[0], b[0]) <= types.NARROW_DIGITS and scale < types.NARROW_DIGITS
    return min(precision, types.NARROW_DIGITS if narrow else 38), scale


def _arithmetic(op: str, args: tuple[Node, ...]) -> tuple[tuple[str, ...], str]:
    kinds = [a.dtype for a in args]
    if not all(types.is_numeric(k) for k in kinds):
        return _temporal_arithmetic(op, args)
    if any(types.is_float(k) for k in kinds):
        out = "float" if all(k == "float" for k in kinds) else "double"
        return (out, out), out
    if any(types.is_decimal(k) for k in kinds):
        a, b = (decimal_operand(n) for n in args)
        if op == "multiply":
            return tuple(types.decimal_text(*s) for s in (a, b)), types.decimal_text(*_product_shape(a, b))
        out = types.decimal_text(*_sum_shape(a, b))
        return (out, out), out
    # Integers compute in 64 bits: exact or an error, never a wrap.
    _wider_integer(op, args)
    if "uint64" in {integer_operand(args[0], args[1]), integer_operand(args[1], args[0])}:
        raise SchemaError(f"'{op}' on uint64 may not fit 64 bits; cast to int64 first")
    return ("int64", "int64"), "int64"


def _temporal_arithmetic(op: str, args: tuple[Node, ...]) -> tuple[tuple[str, ...], str]:
    left, right = args[0].dtype, args[1].dtype
    if left == "date32[day]" and types.is_integer(right) and op in {"add", "subtract"}:
        return (left, "int64"), left
    if left == right == "date32[day]" and op == "subtract":
        return (left, right), "int64"
    raise _refuse(op, args)


def _divide(op: str, args: tuple[Node, ...]) -> tuple[tuple[str, ...], str]:
    if not all(types.is_numeric(a.dtype) for a in args):
        raise _refuse(op, args)
    return ("double", "double"), "double"


def _negate(op: str, args: tuple[Node, ...]) -> tuple[tuple[str, ...], str]:
    kind = args[0].dtype
    if not types.is_numeric(kind) or kind == "uint64":
        raise _refuse(op, args)
    out = "int64" if types.is_integer(kind) else kind
    return (out,), out


def common_type(op: str, args: tuple[Node, ...]) -> str:
    """Returns the one type in which two values can be compared or chosen between."""
    a, b = args
    if a.dtype == b.dtype or not b.dtype:
        return a.dtype
    if not a.dtype:
        return b.dtype
    if types.is_numeric(a.dtype) and types.is_numeric(b.dtype):
        if any(types.is_float(n.dtype) for n in args):
            return "double"
        if any(types.is_decimal(n.dtype) for n in args):
            (p, s), (q, t) = (decimal_operand(n) for n in args)
            scale = max(s, t)
            return types.decimal_text(min(38, max(p - s, q - t) + scale), scale)
        return _wider_integer(op, args)
    if types.is_temporal(a.dtype) and types.is_temporal(b.dtype):
        return _common_time(args)
    raise _refuse(op, args)


def _common_time(args: tuple[Node, ...]) -> str:
    a, b = (types.parse_type(n.dtype) for n in args)
    if pa.types.is_date(a) or pa.types.is_date(b):
        stamp = b if pa.types.is_date(a) else a
        return str(stamp)
    if (a.tz is None) != (b.tz is None):
        zoned = a.tz or b.tz
        # Naive timestamps are UTC unless a zone is given: the instant is the same, the label follows the zoned side.
        a, b = pa.timestamp(a.unit, zoned), pa.timestamp(b.unit, zoned)
    order = ("s", "ms", "us", "ns")
    unit = max(a.unit, b.unit, key=order.index)
    return str(pa.timestamp(unit, a.tz))


def _compare(op: str, args: tuple[Node, ...]) -> tuple[tuple[str, ...], str]:
    common = common_type(op, args)
    return (common, common), "bool"


def _logic(op: str, args: tuple[Node, ...]) -> tuple[tuple[str, ...], str]:
    if any(a.dtype not in {"bool", ""} for a in args):
        raise _refuse(op, args)
    return ("bool",) * len(args), "bool"


def _null_test(_op: str, args: tuple[Node, ...]) -> tuple[tuple[str, ...], str]:
    return (args[0].dtype,), "bool"


def _fill(op: str, args: tuple[Node, ...]) -> tuple[tuple[str, ...], str]:
    common = common_type(op, args)
    return (common, common), common


def _date_part(op: str, args: tuple[Node, ...]) -> tuple[tuple[str, ...], str]:
    if not types.is_temporal(args[0].dtype):
        raise _refuse(op, args)
    return ("date32[day]",), "int64"


def _truncate(op: str, args: tuple[Node, ...]) -> tuple[tuple[str, ...], str]:
    if not types.is_temporal(args[0].dtype):
        raise _refuse(op, args)
    return ("date32[day]",), "date32[day]"


def _coarse(op: str, args: tuple[Node, ...]) -> tuple[tuple[str, ...], str]:
    if not types.is_numeric(args[0].dtype):
        raise _refuse(op, args)
    return ("double",), "double"


def _sketch(out: str) -> Rule:
    def rule(op: str, args: tuple[Node, ...]) -> tuple[tuple[str, ...], str]:
        if types.is_wide(args[0].dtype) or not args[0].dtype:
            raise _refuse(op, args)
        return (args[0].dtype,), out

    return rule


OPERATIONS: dict[str, Operation] = {
    "add": Operation(arity=2, rule=_arithmetic),
    "subtract": Operation(arity=2, rule=_arithmetic),
    "multiply": Operation(arity=2, rule=_arithmetic),
    "divide": Operation(arity=2, rule=_divide),
    "negate": Operation(arity=1, rule=_negate),
    "equal": Operation(arity=2, rule=_compare),
    "not_equal": Operation(arity=2, rule=_compare),
    "less": Operation(arity=2, rule=_compare),
    "less_equal": Operation(arity=2, rule=_compare),
    "greater": Operation(arity=2, rule=_compare),
    "greater_equal": Operation(arity=2, rule=_compare),
    "and": Operation(arity=2, rule=_logic, propagates=False),
    "or": Operation(arity=2, rule=_logic, propagates=False),
    "not": Operation(arity=1, rule=_logic),
    "is_null": Operation(arity=1, rule=_null_test, propagates=False),
    "fill_null": Operation(arity=2, rule=_fill, propagates=False),
    "year": Operation(arity=1, rule=_date_part),
    "month": Operation(arity=1, rule=_date_part),
    "day": Operation(arity=1, rule=_date_part),
    "truncate_month": Operation(arity=1, rule=_truncate),
    "truncate_year": Operation(arity=1, rule=_truncate),
    # What sketches keep of a value (see checkrow_kernels.sketch); users write the aggregates instead.
    "coarse": Operation(arity=1, rule=_coarse),
    "sketch_register": Operation(arity=1, rule=_sketch("int16")),
    "sketch_rank": Operation(arity=1, rule=_sketch("int8")),
}
