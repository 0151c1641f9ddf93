"""Driver sources for kernels over groups: one loop over groups, each a view of arrays that stand in group order.

The contract is that of all drivers: flat arrays in, `(next group, status, detail)` out, nothing allocated. The loop
stops with FULL before a group whose rows may not fit the output arrays; the caller empties them and calls again.
"""

from __future__ import annotations

import hashlib

from checkrow.compile.driver import FULL, Driver
from checkrow.compile.emit import OUT_OF_RANGE, scalar_type
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelCall, KernelSpec, Node
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
    """Returns the driver that calls a kernel for a range of groups.

    Its arguments are: first and last group, `at`, `starts` of all groups, per kernel argument an array in group order
    (values, or the validity of a column), the parameters, `limit` (most rows a group may give, 0: as many as it has),
    `capacity` of the outputs, `state` (one int64: rows written), `group_of` (int32: group of each row written), the
    outputs.
    """
    spec = call.kernel
    inputs = tuple(
        Node("col", name=name, dtype=arg.dtype, nullable=arg.nullable)
        for name, arg in zip(spec.columns, call.args, strict=True)
    )
    arrays = [a for a in spec.arguments if a != OUT]
    writes = OUT in spec.arguments
    body = [
        "a = starts[g]",
        "b = starts[g + 1]",
        f"m = {_ROOM[spec.shape]}",
        "if n + m > capacity:",
        "    state[0] = n",
        f"    return g, {FULL}, 0",
        "at[0] = g",
        "at[2] = n",
        f"r = k0({', '.join(_arguments(spec, arrays))})",
        *_results(spec, writes=writes),
        "for i in range(n, n + m):",
        "    group_of[i] = g",
        "n += m",
    ]
    head = ["first", "last", "at", "starts", *(f"c{j}" for j in range(len(arrays)))]
    head += [f"q{j}" for j in range(len(call.parameters))]
    head += ["limit", "capacity", "state", "group_of", *(f"o{j}" for j in range(len(spec.returns)))]
    fields = ", ".join(repr(f.name) for f in spec.returns)
    lines = [
        *([f"Out = namedtuple('Out', [{fields}])", "", ""] if writes else []),
        "@jit",
        f"def drive({', '.join(head)}):",
        "    n = state[0]",
        "    for g in range(first, last):",
        *(f"        {b}" for b in body),
        "    state[0] = n",
        "    return last, 0, 0",
    ]
    source = "\n".join(lines) + "\n"
    kinds = [*(n.dtype for n in inputs), *(f.dtype for f in spec.returns)]
    values = [type(v).__name__ for _, v in call.parameters]
    return Driver(
        source=source,
        digest=hashlib.sha256(repr((source, kinds, spec.fingerprint, spec.function, values)).encode()).hexdigest()[:24],
        masked=False, inputs=inputs, literals=(), parameters=call.parameters, kernels=(spec,), calls=(spec,),
        checked=(),
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
    arrays = [a for a in spec.arguments if a != OUT]
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
    single = len(spec.returns) == 1
    lines: list[str] = []
    for j, field in enumerate(spec.returns):
        value = "r" if single else f"r[{j}]"
        if spec.shape == MAP:
            length = f"len({value})"
            lines += [f"if {length} != m:", "    state[0] = n"]
            lines += [f"    return g, {WRONG_LENGTH}, {length} * {len(spec.returns)} + {j}", "for i in range(m):"]
            lines += [f"    {line}" for line in _checked(j, field.dtype, f"{value}[i]")]
            lines += [f"    o{j}[n + i] = {value}[i]"]
            continue
        lines += _checked(j, field.dtype, value)
        lines.append(
            f"o{j}[n] = {value} != 0" if field.dtype == "bool" else f"o{j}[n] = {scalar_type(field.dtype)}({value})"
        )
    return lines
