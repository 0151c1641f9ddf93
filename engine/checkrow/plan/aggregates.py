"""Aggregates as shared states: what is kept per group, how results are read from it.

Equal states are kept once: `sum(x)`, `mean(x)` and `count(x)` of one column share their sum and their count.

Some aggregates are groupings of their own below the group: the distinct values of a group, or how often each value (or
each bucket of values) occurs in it. They stand in a `Part` whose `second` key is that value. All parts see the same
rows, so each of them holds all groups.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pyarrow as pa

from checkrow.errors import SchemaError
from checkrow.expressions import types
from checkrow.expressions.aggregates import AggregateCall
from checkrow.expressions.nodes import KernelCall, Node, OrderKey, state_type
from checkrow.expressions.typing import cast, kernel_argument, resolve

SECOND = "@second"
"""The name of a part's second key among the columns that travel."""
PART = "@part"
"""The name of the column that tells the rows of several parts apart."""


class State(msgspec.Struct, frozen=True):
    """One thing kept per group. `kind` is a key of `STATE_ARRAYS`; `arg` its typed input.

    The kind "own" is an aggregator's state, with its typed `call`; `counted` adds the number of rows it took in. The
    kinds "first" and "last" keep `arg` of the row that comes first or last by `order`, whatever its type.
    """

    kind: str
    arg: Node | None = None
    call: KernelCall | None = None
    counted: bool = False
    order: tuple[OrderKey, ...] = ()

    @property
    def arguments(self) -> tuple[Node, ...]:
        """What the state's update reads of a row."""
        if self.call is not None:
            return self.call.args
        own = (self.arg,) if self.arg is not None else ()
        return tuple(dict.fromkeys((*own, *(o.node for o in self.order))))

    @property
    def arrays(self) -> tuple[str, ...]:
        """Arrow types of the columns it travels in; all but a chosen row's are never null."""
        if self.kind in CHOSEN:
            return tuple(a.dtype for a in self.arguments)
        if self.call is not None:
            return (*(state_type(v) for v in self.call.state), *(("int64",) if self.counted else ()))
        own = self.arg.dtype if self.arg is not None else ""
        return tuple(kind or own for kind in STATE_ARRAYS[self.kind])


class Part(msgspec.Struct, frozen=True):
    """States by the group keys and, where there is one, a `second` key below them."""

    second: Node | None
    states: tuple[State, ...]

    def arguments(self) -> tuple[Node, ...]:
        """Returns what the states read of a row."""
        return tuple(a for s in self.states for a in s.arguments)


class Finish(msgspec.Struct, frozen=True):
    """How an output column is read from the states of a part, which are given by number.

    `valid` is the count that makes it null, `nullable` says that it may be null for another reason; `option` is the
    quantile or the degrees of freedom taken off.
    """

    name: str
    function: str
    dtype: str
    state: int
    valid: int | None = None
    nullable: bool = False
    part: int = 0
    option: float = 0.0


class Aggregation(msgspec.Struct, frozen=True, kw_only=True):
    """A grouping with typed keys, states and outputs. The first part has no second key unless it is the only one."""

    keys: tuple[tuple[str, Node], ...]
    parts: tuple[Part, ...]
    finishes: tuple[Finish, ...]

    def keys_of(self, part: int) -> tuple[tuple[str, Node], ...]:
        """Returns the keys of a part: those of the groups, then its second one."""
        second = self.parts[part].second
        return self.keys if second is None else (*self.keys, (SECOND, second))

    def all_keys(self) -> tuple[Node, ...]:
        """Returns the keys of the groups and the second keys of all parts."""
        return (*(node for _, node in self.keys), *(p.second for p in self.parts if p.second is not None))

    def arguments(self) -> tuple[Node, ...]:
        """Returns what all parts read of a row besides the keys of the groups."""
        return (*self.all_keys()[len(self.keys) :], *(a for p in self.parts for a in p.arguments()))

    def has_kernel(self) -> bool:
        """Tells whether an aggregator of the user's takes part."""
        return any(s.call is not None for p in self.parts for s in p.states)

    def row_columns(self) -> tuple[tuple[str, Node], ...]:
        """Returns what travels of a row that is not aggregated yet: keys, then every argument once."""
        known = [n for _, n in self.keys]
        others = [n for n in dict.fromkeys(self.arguments()) if n not in known]
        return (*self.keys, *((f"@{i}", n) for i, n in enumerate(others)))

    def state_columns(self, part: int) -> tuple[tuple[str, str], ...]:
        """Returns names and types of what travels of a part's groups: keys, then the arrays of every state."""
        keys = [(name, node.dtype) for name, node in self.keys_of(part)]
        states = [
            (state_name(number, place), dtype)
            for number, state in enumerate(self.parts[part].states)
            for place, dtype in enumerate(state.arrays)
        ]
        return (*keys, *states)

    def travelling(self) -> tuple[tuple[str, str], ...]:
        """Returns names and types of what travels of the groups of all parts: with several, a row belongs to one."""
        if len(self.parts) == 1:
            return self.state_columns(0)
        keys = tuple((name, node.dtype) for name, node in self.keys)
        own = ((f"{p}{n}", d) for p in range(len(self.parts)) for n, d in self.state_columns(p)[len(keys) :])
        return (*keys, (PART, "int8"), *own)

    def schema(self) -> types.Schema:
        """Returns the columns that come out: keys, then aggregates."""
        keys = [types.Field(n, k.dtype, k.nullable) for n, k in self.keys]
        values = [types.Field(f.name, f.dtype, f.nullable or f.valid is not None) for f in self.finishes]
        return (*keys, *values)


CHOSEN = frozenset({"first", "last"})
"""Kinds of states that keep columns of a row, of any type, instead of numbers in arrays."""

STATE_ARRAYS: dict[str, tuple[str, ...]] = {
    "rows": ("int64",),
    "valid": ("int64",),
    "sum_int": ("int64", "int64"),
    "sum_float": ("double",),
    "sum_wide": ("int64", "int64", "int64"),
    "moments": ("double", "double", "double"),
    "min": ("",),
    "max": ("",),
}
"""Per kind of built-in state the Arrow types of its arrays; "" is the argument's own."""


def state_name(number: int, place: int) -> str:
    """Returns the exchange name of an array of a state."""
    return f"#{number}.{place}"


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
    finishes = [builder.finish(call, schema) for call in calls]
    return Aggregation(keys=typed_keys, parts=builder.parts(), finishes=builder.result(finishes))


def group_key(name: str, node: Node) -> Node:
    """Returns a typed key; raises SchemaError for a type that cannot be one."""
    if types.is_wide(node.dtype) or node.dtype == "binary":
        raise SchemaError(f"{node.dtype} cannot be a group key yet (key {name!r}); cast it")
    return node


class _States:
    """Collects states and parts without repetition."""

    def __init__(self, *, has_keys: bool) -> None:
        self._parts: dict[Node | None, list[State]] = {None: []}
        self._has_keys = has_keys

    def parts(self) -> tuple[Part, ...]:
        """Returns the parts; the one without a second key is left out when others hold the groups."""
        needed = {second: s for second, s in self._parts.items() if s or second is not None or len(self._parts) == 1}
        return tuple(Part(second, tuple(states)) for second, states in needed.items())

    def result(self, finishes: list[Finish]) -> tuple[Finish, ...]:
        """Returns the finishes once no part is added any more, as the first part may have been left out."""
        left_out = 0 if self._parts[None] or len(self._parts) == 1 else 1
        return tuple(msgspec.structs.replace(f, part=f.part - left_out) for f in finishes)

    def _add(self, state: State, second: Node | None = None) -> int:
        states = self._parts.setdefault(second, [])
        if state not in states:
            states.append(state)
        return states.index(state)

    def _part(self, second: Node) -> int:
        self._parts.setdefault(second, [])
        return list(self._parts).index(second)

    def _count(self, arg: Node) -> int:
        return self._add(State("valid", arg) if arg.nullable else State("rows"))

    def finish(self, call: AggregateCall, schema: types.Schema) -> Finish:
        """Returns how a call's output is read, adding the states it needs."""
        if call.kernel is not None:
            return self._own(call.name, call.kernel, schema)
        if call.arg is None:
            return Finish(call.name, "count", "int64", self._add(State("rows")))
        arg = resolve(call.arg, schema)
        if not arg.dtype:
            raise _undefined(call, arg)
        return _BUILDERS[call.function](self, call, arg, schema)

    def count(self, call: AggregateCall, arg: Node, _schema: types.Schema) -> Finish:
        """Counts values."""
        return Finish(call.name, "count", "int64", self._count(arg))

    def sum(self, call: AggregateCall, arg: Node, _schema: types.Schema) -> Finish:
        """Sums exactly."""
        state = self._add(State(_sum_kind(_number(call, arg)), arg))
        return Finish(call.name, "sum", _sum_type(arg.dtype), state, self._valid(arg))

    def mean(self, call: AggregateCall, arg: Node, _schema: types.Schema) -> Finish:
        """Divides the exact sum by the count."""
        state = self._add(State(_sum_kind(_number(call, arg)), arg))
        return Finish(call.name, "mean", "double", state, self._count(arg))

    def moments(self, call: AggregateCall, arg: Node, _schema: types.Schema) -> Finish:
        """Takes the variance or its root from running moments."""
        _number(call, arg)
        state = self._add(State("moments", cast(arg, "double")))
        return Finish(call.name, call.function, "double", state, nullable=True, option=call.option or 0.0)

    def extreme(self, call: AggregateCall, arg: Node, _schema: types.Schema) -> Finish:
        """Keeps the smallest or greatest value: in an array where it has a fixed width of 64 bits or less."""
        if types.is_text(arg.dtype) or types.is_wide(arg.dtype):
            order = (OrderKey(arg, descending=call.function == "max"),)
            return self._chosen(call.name, State("first", arg, order=order))
        return Finish(call.name, call.function, arg.dtype, self._add(State(call.function, arg)), self._valid(arg))

    def chosen(self, call: AggregateCall, arg: Node, schema: types.Schema) -> Finish:
        """Keeps the value of the row that comes first or last."""
        order = tuple(OrderKey(resolve(o.node, schema), o.descending) for o in call.order)
        for o in order:
            if not o.node.dtype:
                raise SchemaError(
                    f"{call.function}() is ordered by a column that holds only nulls (column {call.name!r})"
                )
        return self._chosen(call.name, State(call.function, arg, order=order))

    def distinct(self, call: AggregateCall, arg: Node, _schema: types.Schema) -> Finish:
        """Counts the second keys of a group."""
        part = self._part(group_key(call.name, arg))
        return Finish(call.name, "count_distinct", "int64", 0, part=part)

    def approx_distinct(self, call: AggregateCall, arg: Node, schema: types.Schema) -> Finish:
        """Keeps the greatest rank of every register of a HyperLogLog sketch."""
        group_key(call.name, arg)
        register, rank = (resolve(Node(op, args=(arg,)), schema) for op in ("sketch_register", "sketch_rank"))
        state = self._add(State("max", rank), register)
        return Finish(call.name, "approx_distinct", "int64", state, part=self._part(register))

    def quantile(self, call: AggregateCall, arg: Node, schema: types.Schema) -> Finish:
        """Counts how often each value, or each coarse value, occurs."""
        _number(call, arg)
        exact = cast(arg, "double") if types.is_wide(arg.dtype) else arg
        second = resolve(Node("coarse", args=(arg,)), schema) if call.function == "approx_quantile" else exact
        state = self._add(State("rows"), second)
        option = call.option if call.option is not None else 0.5
        return Finish(call.name, "quantile", "double", state, nullable=True, part=self._part(second), option=option)

    def _valid(self, arg: Node) -> int | None:
        # Without keys there may be no row at all, and then only a count tells that the result is null.
        return self._count(arg) if arg.nullable or not self._has_keys else None

    def _chosen(self, name: str, state: State) -> Finish:
        nullable = not self._has_keys or state.arg is None or state.arg.nullable
        return Finish(name, "chosen", state.arrays[0], self._add(state), nullable=nullable)

    def _own(self, name: str, call: KernelCall, schema: types.Schema) -> Finish:
        spec = call.kernel
        args = tuple(
            kernel_argument(spec, column, resolve(arg, schema))
            for column, arg in zip(spec.columns, call.args, strict=True)
        )
        counted = any(a.nullable for a in args) or not self._has_keys or spec.may_fail
        state = State("own", call=msgspec.structs.replace(call, args=args), counted=counted)
        return Finish(name, "own", spec.returns[0].dtype, self._add(state), nullable=counted)


_BUILDERS: dict[str, Callable[[_States, AggregateCall, Node, types.Schema], Finish]] = {
    "count": _States.count,
    "sum": _States.sum,
    "mean": _States.mean,
    "var": _States.moments,
    "std": _States.moments,
    "min": _States.extreme,
    "max": _States.extreme,
    "first": _States.chosen,
    "last": _States.chosen,
    "count_distinct": _States.distinct,
    "approx_distinct": _States.approx_distinct,
    "quantile": _States.quantile,
    "approx_quantile": _States.quantile,
}


def _undefined(call: AggregateCall, arg: Node) -> SchemaError:
    return SchemaError(f"{call.function}() is not defined for {arg.dtype or 'null'} (column {call.name!r})")


def _number(call: AggregateCall, arg: Node) -> str:
    """Returns the type of an argument that can be added up; raises SchemaError for text and times."""
    if types.is_text(arg.dtype) or types.is_temporal(arg.dtype):
        raise _undefined(call, arg)
    return arg.dtype


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
