"""Driver sources for kernels over groups: one loop over groups, each a view of arrays that stand in group order.

The contract is that of all drivers: flat arrays in, `(next group, status, detail)` out, nothing allocated. The loop
stops with FULL before a group whose rows may not fit the output arrays; the caller empties them and calls again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from checkrow.compile.driver import FULL, Driver
from checkrow.compile.emit import OUT_OF_RANGE, leaves, scalar_type
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelCall, KernelSpec, Node
from checkrow.expressions.types import Field
from checkrow.kernels.group import EXPAND, MAP, REDUCE
from checkrow.kernels.signature import OUT, validity_of

WRONG_ROWS = 5
"""The kernel said it wrote fewer than no rows, or more than it had room for."""
WRONG_LENGTH = 6
"""A returned array is not as long as the group: the detail is its length times the number of arrays, plus which."""
_ROOM = {
    REDUCE: "1",
    MAP: "b - a",
    EXPAND: "limit if limit > 0 else b - a",
}


def group_driver(call: KernelCall) -> Driver:
    """Returns the driver that calls a kernel for a range of groups, each with arrays of its rows.

    Its arguments are those of `over_groups`; its own is `limit` (most rows a group may give, 0: as many as it has).
    """
    spec = call.kernel
    writes = OUT in spec.arguments
    arrays = [a for a in spec.arguments if a != OUT]
    body = [
        *room_for(_ROOM[spec.shape]),
        f"r = k0({', '.join(_arguments(spec, arrays))})",
        *_results(spec, writes=writes),
        "for i in range(n, n + m):",
        "    group_of[i] = g",
        "n += m",
    ]
    fields = ", ".join(repr(f.name) for f in spec.returns)
    head = [f"Out = namedtuple('Out', [{fields}])", "", ""] if writes else []
    return over_groups(call, spec, body, head=head, parameters=call.parameters, own=("limit",))


def room_for(rows: str) -> list[str]:
    """Returns what a group begins with: its rows `a` to `b`, and FULL unless as many of output as it may need fit."""
    return [
        "a = starts[g]",
        "b = starts[g + 1]",
        f"m = {rows}",
        "if n + m > capacity:",
        "    state[0] = n",
        f"    return g, {FULL}, 0",
        "at[0] = g",
        "at[2] = n",
    ]


def over_groups(
    call: KernelCall, called: KernelSpec, body: list[str], *, parameters: tuple[tuple[str, float | bool], ...],
    head: Sequence[str] = (), own: Sequence[str] = (),
) -> Driver:  # fmt: skip
    """Returns the driver whose loop over groups has a body.

    Its arguments: first and last group, `at`, `starts` of all groups, per kernel argument an array in group order
    (values, or the validity of a column), the parameters, its `own`, `capacity` of the outputs, `state` (one int64:
    rows written), `group_of` (int32: group of each row written), the outputs.
    """
    spec = call.kernel
    inputs = tuple(
        Node("col", name=name, dtype=arg.dtype, nullable=arg.nullable)
        for name, arg in zip(spec.columns, call.args, strict=True)
    )
    heads = ["first", "last", "at", "starts", *(f"c{j}" for j in range(len(array_arguments(spec))))]
    heads += [f"q{j}" for j in range(len(parameters))]
    heads += [*own, "capacity", "state", "group_of", *(f"o{j}" for j in range(len(spec.returns)))]
    lines = [
        *head,
        "@jit",
        f"def drive({', '.join(heads)}):",
        "    n = state[0]",
        "    for g in range(first, last):",
        *(f"        {b}" for b in body),
        "    state[0] = n",
        "    return last, 0, 0",
    ]
    source = "\n".join(lines) + "\n"
    kinds = [*(n.dtype for n in inputs), *(f.dtype for f in spec.returns)]
    values = [type(v).__name__ for _, v in parameters]
    identity = repr((source, kinds, called.fingerprint, called.function, values))
    return Driver(
        source=source, digest=hashlib.sha256(identity.encode()).hexdigest()[:24], masked=False, inputs=inputs,
        literals=(), parameters=parameters, kernels=(called,), calls=(called,), checked=(),
    )  # fmt: skip


def _checked(output: int, dtype: str, value: str) -> list[str]:
    """Returns statements that stop at a whole number which its column cannot hold."""
    if not types.may_leave(dtype):
        return []
    low, high = types.integer_range(dtype)
    test = f"if {value} < {low} or {value} > {high}:"
    return [test, "    state[0] = n", f"    return g, {OUT_OF_RANGE}, {output}"]


def array_arguments(spec: KernelSpec) -> tuple[tuple[str, bool], ...]:
    """Returns per array argument the column it reads and whether it is that column's validity."""
    arrays = [a for a in spec.arguments if a != OUT or a in spec.columns]
    return tuple((a, False) if a in spec.columns else (validity_of(a), True) for a in arrays)


def _arguments(spec: KernelSpec, arrays: list[str]) -> list[str]:
    views = ", ".join(f"o{j}[n:n + m]" for j in range(len(spec.returns)))
    given = [f"Out({views})" if a == OUT else f"c{arrays.index(a)}[a:b]" for a in spec.arguments]
    return [*given, *(f"q{j}" for j in range(len(spec.parameters)))]


def _results(spec: KernelSpec, *, writes: bool) -> list[str]:
    if spec.shape == EXPAND:
        return ["if r < 0 or r > m:", "    state[0] = n", f"    return g, {WRONG_ROWS}, np.int64(r)", "m = np.int64(r)"]
    if writes:
        return []
    lines: list[str] = []
    for j, field in enumerate(spec.returns):
        value = "r" if len(spec.returns) == 1 else f"r[{j}]"
        if spec.shape == MAP:
            length = f"len({value})"
            lines += [f"if {length} != m:", "    state[0] = n"]
            lines += [f"    return g, {WRONG_LENGTH}, {length} * {len(spec.returns)} + {j}"]
            stored = stored_value(field, f"{value}[i]", f"o{j}[n + i]", str(j))
            lines += ["for i in range(m):", *(f"    {line}" for line in stored)]
        else:
            lines += stored_value(field, value, f"o{j}[n]", str(j))
    return lines


def stored_value(field: Field, value: str, place: str, detail: str) -> list[str]:
    """Returns what stores a value the kernel returned, and stops with OUT_OF_RANGE where its type cannot hold it."""
    kind = f"{value} != 0" if field.dtype == "bool" else f"{scalar_type(field.dtype)}({value})"
    if not types.may_leave(field.dtype):
        return [f"{place} = {kind}"]
    return [
        f"if {leaves(value, field.dtype)}:",
        "    state[0] = at[2]",
        f"    return g, {OUT_OF_RANGE}, {detail}",
        f"{place} = {kind}",
    ]
