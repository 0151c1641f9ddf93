"""Resolution: the user's tree over a schema becomes a typed tree with every conversion explicit."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import msgspec
import pyarrow as pa

from checkrow.errors import KernelTypeError, SchemaError
from checkrow.expressions import types
from checkrow.expressions.fills import refuse_fill
from checkrow.expressions.nodes import KernelSpec, Node, Scalar
from checkrow.expressions.operations import OPERATIONS, common_type
from checkrow.expressions.types import Field, Schema


def unknown_column(name: str, known: Iterable[str]) -> SchemaError:
    """Returns the error for a missing column, with the nearest name."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return SchemaError(f"there is no column {name!r}{hint}. Columns: {listed}")


def field_of(schema: Schema, name: str) -> Field:
    """Returns a column's field; raises SchemaError naming the nearest column."""
    for field in schema:
        if field.name == name:
            types.field_type(field)
            return field
    raise unknown_column(name, (f.name for f in schema))


def resolve(node: Node, schema: Schema) -> Node:
    """Returns the typed form of a node over a schema.

    Raises
    ------
    SchemaError
        If a column is missing or an operation is not defined for its operand types.
    KernelTypeError
        If a kernel cannot take a column's type.
    """
    if node.op == "col":
        field = field_of(schema, node.name)
        return msgspec.structs.replace(node, dtype=field.dtype, nullable=field.nullable)
    if node.op == "lit":
        return node
    args = tuple(resolve(a, schema) for a in node.args)
    if node.op == "cast":
        return cast(args[0], node.dtype)
    if node.op == "case":
        return _resolve_case(args)
    if node.op == "kernel":
        return _resolve_kernel(node, args)
    operation = OPERATIONS[node.op]
    wanted, dtype = operation.rule(node.op, args)
    converted = tuple(cast(a, w) for a, w in zip(args, _operand_types(node.op, args, wanted), strict=True))
    return msgspec.structs.replace(node, args=converted, dtype=dtype, nullable=_may_be_null(node.op, args))


def _operand_types(op: str, args: tuple[Node, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Keeps each decimal operand of a sum or comparison at its own precision: only its scale has to change."""
    if op not in {"add", "subtract", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}:
        return wanted
    out = []
    for arg, kind in zip(args, wanted, strict=True):
        if types.is_decimal(kind) and types.is_decimal(arg.dtype):
            (p, s), (_, t) = types.decimal_shape(arg.dtype), types.decimal_shape(kind)
            out.append(types.decimal_text(min(38, p + t - s), t))
        else:
            out.append(kind)
    return tuple(out)


def _may_be_null(op: str, args: tuple[Node, ...]) -> bool:
    if op == "is_null":
        return False
    if op == "fill_null":
        return args[0].nullable and args[1].nullable
    return any(a.nullable for a in args)


def _resolve_case(args: tuple[Node, ...]) -> Node:
    """Types `case(c1, v1, c2, v2, ..., otherwise)`."""
    values = [*args[1::2][: len(args) // 2], args[-1]]
    conditions = args[0:-1:2]
    for c in conditions:
        if c.dtype != "bool":
            raise SchemaError(f"when(...) needs a condition, not {c.dtype}; compare the column with a value")
    common = values[0]
    for v in values[1:]:
        kind = common_type("when", (common, v))
        common = Node("lit", dtype=kind) if kind != common.dtype else common
    if not common.dtype:
        raise SchemaError("when(...) has only nulls as values; cast one of them")
    typed = [cast(v, common.dtype) for v in values]
    pairs = [n for c, v in zip(conditions, typed[:-1], strict=True) for n in (c, v)]
    return Node("case", args=(*pairs, typed[-1]), dtype=common.dtype, nullable=any(v.nullable for v in typed))


def cast(node: Node, dtype: str) -> Node:
    """Returns a node converted to a type; literals are converted here and now.

    Raises
    ------
    SchemaError
        If the conversion is not defined.
    """
    if node.dtype == dtype:
        return node
    if node.op == "lit":
        return Node("lit", value=_cast_literal(node, dtype), dtype=dtype, nullable=node.nullable)
    if not _castable(node.dtype, dtype):
        name = f" (column {node.name!r})" if node.op == "col" else ""
        raise SchemaError(f"{node.dtype} cannot be cast to {dtype}{name}")
    return Node("cast", args=(node,), dtype=dtype, nullable=node.nullable)


def _castable(source: str, target: str) -> bool:
    plain = (types.is_numeric(source) or source == "bool") and (types.is_numeric(target) or target == "bool")
    if "bool" in {source, target} and any(types.is_decimal(t) for t in (source, target)):
        return False  # a comparison says what is meant
    times = types.share_time(source, target)
    stored = {source, target} <= {"int32", "date32[day]"} or (
        "int64" in {source, target} and any(t.startswith(("timestamp", "duration")) for t in (source, target))
    )
    text = types.is_text(source) or types.is_text(target)
    return plain or times or stored or (text and "binary" not in {source, target})


def _cast_literal(node: Node, dtype: str) -> Scalar:
    if node.value is None:
        return None
    source = pa.scalar(stored_to_python(node), types.parse_type(node.dtype))
    wanted = types.parse_type(dtype)
    try:
        if types.is_integer(node.dtype) and types.is_decimal(dtype):
            source = source.cast(pa.decimal128(38, wanted.scale))
        return python_to_stored(source.cast(wanted))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(f"the literal {source} ({node.dtype}) cannot be used as {dtype}: {error}") from None


def stored_to_python(node: Node) -> object:
    """Returns what `pyarrow.scalar` takes for a literal node's stored value."""
    if types.is_decimal(node.dtype) and node.value is not None:
        scale = types.parse_type(node.dtype).scale
        return pa.scalar(int(node.value), pa.decimal128(38, 0)).as_py().scaleb(-scale)
    return node.value


def python_to_stored(value: pa.Scalar) -> Scalar:
    """Returns the JSON form in which a literal node stores an Arrow scalar."""
    dtype = value.type
    if pa.types.is_decimal(dtype):
        return str(int(value.as_py().scaleb(dtype.scale)))
    if pa.types.is_date(dtype):
        return int(value.cast(pa.int32()).as_py())
    if pa.types.is_timestamp(dtype) or pa.types.is_duration(dtype):
        return int(value.value)
    out: Scalar = value.as_py()
    return out


def _resolve_kernel(node: Node, args: tuple[Node, ...]) -> Node:
    spec = node.kernel
    if spec is None or not isinstance(node.value, int):
        raise KernelTypeError("a kernel node without its kernel")
    converted = tuple(kernel_argument(spec, name, arg) for name, arg in zip(spec.columns, args, strict=True))
    strict = (a for c, a in zip(spec.columns, args, strict=True) if not spec.takes_null(c))
    nullable = spec.may_fail or (spec.nulls == "propagate" and any(a.nullable for a in strict))
    return msgspec.structs.replace(node, args=converted, dtype=spec.returns[node.value].dtype, nullable=nullable)


def kernel_argument(spec: KernelSpec, name: str, arg: Node) -> Node:
    """Returns a typed argument in the form a kernel sees it: scaled or floating decimals, times in one unit.

    Raises
    ------
    KernelTypeError
        If the kernel cannot take the type, or was not told how to.
    """
    where = f"{spec.place}: kernel {spec.name!r}, argument {name!r}"
    kind = arg.dtype
    refuse_fill(spec, name, kind, where)
    if types.is_decimal(kind):
        return _decimal_argument(spec, where, arg)
    if kind.startswith(("timestamp", "duration")):
        dtype = types.parse_type(kind)
        if dtype.unit != spec.time_unit:
            order = ("s", "ms", "us", "ns")
            if order.index(dtype.unit) > order.index(spec.time_unit):
                raise KernelTypeError(
                    f"{where}: {kind} has finer units than time_unit={spec.time_unit!r}; set time_unit={dtype.unit!r}"
                )
            zone = f", tz={dtype.tz}" if kind.startswith("timestamp") and dtype.tz else ""
            return cast(arg, f"{kind.split('[', maxsplit=1)[0]}[{spec.time_unit}{zone}]")
    return arg


def _decimal_argument(spec: KernelSpec, where: str, arg: Node) -> Node:
    if spec.decimals == "float64":
        return cast(arg, "double")
    if spec.decimals != "scaled":
        raise KernelTypeError(
            f'{where}: is {arg.dtype}; choose decimals="scaled" (exact int64) or decimals="float64" in the decorator'
        )
    if types.is_wide(arg.dtype):
        raise KernelTypeError(f'{where}: {arg.dtype} has more than 18 digits; use decimals="float64" or cast it')
    return arg
