"""Built-in aggregates as shared states: what is kept per group, how results are read from it.

Equal states are kept once: `sum(x)`, `mean(x)` and `count(x)` of one column share their sum and their count.
"""

from __future__ import annotations

import msgspec
import pyarrow as pa

from checkrow.errors import SchemaError
from checkrow.expressions import types
from checkrow.expressions.aggregates import AggregateCall
from checkrow.expressions.nodes import KernelCall, Node, state_type
from checkrow.expressions.typing import kernel_argument, resolve


class State(msgspec.Struct, frozen=True):
    """One thing kept per group. `kind` is a key of `STATE_ARRAYS`; `arg` its typed input.

    The kind "own" is an aggregator's state, with its typed `call`; `counted` adds the number of rows it took in.
    """

    kind: str
    arg: Node | None = None
    call: KernelCall | None = None
    counted: bool = False

    @property
    def arguments(self) -> tuple[Node, ...]:
        """What the state's update reads of a row."""
        if self.call is not None:
            return self.call.args
        return (self.arg,) if self.arg is not None else ()

    @property
    def arrays(self) -> tuple[str, ...]:
        """Arrow types of the arrays it is kept in."""
        if self.call is not None:
            return (*(state_type(v) for v in self.call.state), *(("int64",) if self.counted else ()))
        own = self.arg.dtype if self.arg is not None else ""
        return tuple(kind or own for kind in STATE_ARRAYS[self.kind])


class Finish(msgspec.Struct, frozen=True):
    """How an output column is read from states, which are given by number; `valid` is the count that makes it null."""

    name: str
    function: str
    dtype: str
    state: int
    valid: int | None = None


class Aggregation(msgspec.Struct, frozen=True, kw_only=True):
    """A grouping with typed keys, states and outputs."""

    keys: tuple[tuple[str, Node], ...]
    states: tuple[State, ...]
    finishes: tuple[Finish, ...]

    def arguments(self) -> tuple[Node, ...]:
        """Returns what the states read of a row."""
        return tuple(a for s in self.states for a in s.arguments)

    def row_columns(self) -> tuple[tuple[str, Node], ...]:
        """Returns what travels of a row that is not aggregated yet: keys, then every argument once."""
        known = [n for _, n in self.keys]
        others = [n for n in dict.fromkeys(self.arguments()) if n not in known]
        return (*self.keys, *((f"@{i}", n) for i, n in enumerate(others)))

    def schema(self) -> types.Schema:
        """Returns the columns that come out: keys, then aggregates."""
        keys = [types.Field(n, k.dtype, k.nullable) for n, k in self.keys]
        values = [types.Field(f.name, f.dtype, self._nullable(f)) for f in self.finishes]
        return (*keys, *values)

    def _nullable(self, finish: Finish) -> bool:
        return finish.valid is not None or self.states[finish.state].counted


STATE_ARRAYS: dict[str, tuple[str, ...]] = {
    "rows": ("int64",),
    "valid": ("int64",),
    "sum_int": ("int64", "int64"),
    "sum_float": ("double",),
    "sum_wide": ("int64", "int64", "int64"),
    "min": ("",),
    "max": ("",),
}
"""Per kind of built-in state the Arrow types of its arrays; "" is the argument's own."""


def aggregation(
    schema: types.Schema, keys: tuple[tuple[str, Node], ...], calls: tuple[AggregateCall, ...]
) -> Aggregation:
    """Returns the typed aggregation of calls over a schema.

    Raises
    ------
    SchemaError
        If a column is missing or an aggregate is not defined for its type.
    """
    typed_keys = tuple((name, group_key(name, resolve(node, schema))) for name, node in keys)
    builder = _States(has_keys=bool(keys))
    finishes = tuple(builder.finish(call, schema) for call in calls)
    return Aggregation(keys=typed_keys, states=tuple(builder.states), finishes=finishes)


def group_key(name: str, node: Node) -> Node:
    """Returns a typed key; raises SchemaError for a type that cannot be one."""
    if types.is_wide(node.dtype) or node.dtype == "binary":
        raise SchemaError(f"{node.dtype} cannot be a group key yet (key {name!r}); cast it")
    return node


class _States:
    """Collects states without repetition."""

    def __init__(self, *, has_keys: bool) -> None:
        self.states: list[State] = []
        self._has_keys = has_keys

    def _add(self, state: State) -> int:
        if state not in self.states:
            self.states.append(state)
        return self.states.index(state)

    def _count(self, arg: Node) -> int:
        return self._add(State("valid", arg) if arg.nullable else State("rows"))

    def finish(self, call: AggregateCall, schema: types.Schema) -> Finish:
        """Returns how a call's output is read, adding the states it needs."""
        if call.kernel is not None:
            return self._own(call.name, call.kernel, schema)
        if call.arg is None:
            return Finish(call.name, "count", "int64", self._add(State("rows")))
        arg = resolve(call.arg, schema)
        if call.function == "count":
            return Finish(call.name, "count", "int64", self._count(arg))
        if types.is_text(arg.dtype) or not arg.dtype:
            raise SchemaError(f"{call.function}() is not defined for {arg.dtype or 'null'} yet (column {call.name!r})")
        # Without keys there may be no row at all, and then only a count tells that the result is null.
        valid = self._count(arg) if arg.nullable or not self._has_keys else None
        if call.function in {"min", "max"}:
            if types.is_wide(arg.dtype):
                raise SchemaError(
                    f"{call.function}() of {arg.dtype} is not supported yet (column {call.name!r}); cast it"
                )
            return Finish(call.name, call.function, arg.dtype, self._add(State(call.function, arg)), valid)
        if types.is_temporal(arg.dtype):
            raise SchemaError(f"{call.function}() is not defined for {arg.dtype} (column {call.name!r})")
        state = self._add(State(_sum_kind(arg.dtype), arg))
        if call.function == "mean":
            return Finish(call.name, "mean", "double", state, self._count(arg))
        return Finish(call.name, "sum", _sum_type(arg.dtype), state, valid)

    def _own(self, name: str, call: KernelCall, schema: types.Schema) -> Finish:
        spec = call.kernel
        args = tuple(
            kernel_argument(spec, column, resolve(arg, schema))
            for column, arg in zip(spec.columns, call.args, strict=True)
        )
        counted = any(a.nullable for a in args) or not self._has_keys
        state = State("own", call=msgspec.structs.replace(call, args=args), counted=counted)
        return Finish(name, "own", spec.returns[0].dtype, self._add(state))


def _sum_kind(dtype: str) -> str:
    if types.is_float(dtype):
        return "sum_float"
    return "sum_wide" if types.is_wide(dtype) or dtype == "uint64" else "sum_int"


def _sum_type(dtype: str) -> str:
    if types.is_float(dtype):
        return "double"
    if types.is_decimal(dtype):
        return types.decimal_text(38, types.parse_type(dtype).scale)
    return "int64" if not pa.types.is_uint64(types.parse_type(dtype)) else types.decimal_text(38, 0)
