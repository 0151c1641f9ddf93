"""Driver sources for kernels over groups: one loop over groups, each a view of arrays that stand in group order.

The contract is that of all drivers: flat arrays in, `(next group, status, detail)` out, nothing allocated. The loop
stops with FULL before a group whose rows may not fit the output arrays; the caller empties them and calls again, with
more room where they were empty already. Texts that a kernel writes are kept by address, so that it may write them in
any order, and copied out when it is done with its group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from checkrow.compile.driver import FULL, Driver
from checkrow.compile.emit import NOT_UTF8, OUT_OF_RANGE
from checkrow.compile.scalars import leaves, scalar_type
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
    body = [
        *room_for(_ROOM[spec.shape]),
        *([written_to(spec, "n + m")] if writes else []),
        f"r = k0({', '.join(_arguments(call))})",
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
    (values, or the validity of a column; of text where each starts, where it stops, and the bytes), the parameters, its
    `own`, `capacity` of the outputs, `state` (one int64: rows written), `group_of` (int32: group of each row written),
    the outputs: an array each; of text offsets, bytes, and two int64 arrays with the address and length of what the
    kernel wrote.
    """
    spec = call.kernel
    inputs = tuple(
        Node("col", name=name, dtype=arg.dtype, nullable=arg.nullable)
        for name, arg in zip(spec.columns, call.args, strict=True)
    )
    heads = ["first", "last", "at", "starts"]
    for j, dtype in enumerate(array_dtypes(call)):
        heads += [f"c{j}", f"e{j}", f"x{j}"] if types.is_text(dtype) else [f"c{j}"]
    heads += [f"q{j}" for j in range(len(parameters))]
    heads += [*own, "capacity", "state", "group_of"]
    heads += [name for j, field in enumerate(spec.returns) for name in arrays_of(field, j)]
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


def array_arguments(spec: KernelSpec) -> tuple[tuple[str, bool], ...]:
    """Returns per array argument the column it reads and whether it is that column's validity."""
    arrays = [a for a in spec.arguments if a != OUT or a in spec.columns]
    return tuple((a, False) if a in spec.columns else (validity_of(a), True) for a in arrays)


def array_dtypes(call: KernelCall) -> tuple[str, ...]:
    """Returns the types of the array arguments; "bool" of those that are the validity of a column."""
    of_columns = {name: arg.dtype for name, arg in zip(call.kernel.columns, call.args, strict=True)}
    return tuple("bool" if validity else of_columns[name] for name, validity in array_arguments(call.kernel))


def _arguments(call: KernelCall) -> list[str]:
    spec = call.kernel
    given = [
        f"texts_at(c{j}, e{j}, x{j}, a, b)" if types.is_text(dtype) else f"c{j}[a:b]"
        for j, dtype in enumerate(array_dtypes(call))
    ]
    if OUT in spec.arguments:
        given.insert(spec.arguments.index(OUT), "w")
    return [*given, *(f"q{j}" for j in range(len(spec.parameters)))]


def arrays_of(field: Field, number: int) -> tuple[str, ...]:
    """Returns the names of the arrays of an output."""
    return tuple(f"{a}{number}" for a in ("ozyl" if types.is_text(field.dtype) else "o"))


def written_to(spec: KernelSpec, end: str) -> str:
    """Returns the statement that makes what a kernel writes to, with room from row `n` on."""
    views = [
        f"slots_at(y{j}, l{j}, n, {end})" if types.is_text(f.dtype) else f"o{j}[n:{end}]"
        for j, f in enumerate(spec.returns)
    ]
    return f"w = Out({', '.join(views)})"


def _stored_rows(number: int, field: Field, value: str) -> list[str]:
    """Returns what stores the value of every row `i` of a group."""
    return ["for i in range(m):", *(f"    {s}" for s in stored_value(field, number, value, "n + i", str(number)))]


def _results(spec: KernelSpec, *, writes: bool) -> list[str]:
    fields = list(enumerate(spec.returns)) if writes else []
    copied = [line for j, f in fields if types.is_text(f.dtype) for line in _stored_rows(j, f, f"w[{j}][i]")]
    copied += [line for j, f in fields if types.is_narrow(f.dtype) for line in _kept_within(j, f)]
    if spec.shape == EXPAND:
        return ["if r < 0 or r > m:", "    state[0] = n", f"    return g, {WRONG_ROWS}, np.int64(r)", "m = np.int64(r)",
                *copied]  # fmt: skip
    if writes:
        return copied
    lines: list[str] = []
    for j, field in enumerate(spec.returns):
        value = "r" if len(spec.returns) == 1 else f"r[{j}]"
        if spec.shape == MAP:
            length = f"len({value})"
            lines += [f"if {length} != m:", "    state[0] = n"]
            lines += [f"    return g, {WRONG_LENGTH}, {length} * {len(spec.returns)} + {j}"]
            lines += _stored_rows(j, field, f"{value}[i]")
        else:
            lines += stored_value(field, j, value, "n", str(j))
    return lines


def _kept_within(number: int, field: Field) -> list[str]:
    """Returns what stops a group that wrote a number its column cannot hold."""
    stop = ["    state[0] = at[2]", f"    return g, {OUT_OF_RANGE}, {number}"]
    test = [f"if {leaves(f'w[{number}][i]', field.dtype)}:", *stop]
    return ["for i in range(m):", *(f"    {line}" for line in test)]


def stored_value(field: Field, number: int, value: str, row: str, detail: str) -> list[str]:
    """Returns what stores a value of an output at a row, and stops the group where its type cannot hold it."""
    if types.is_text(field.dtype):
        return _stored_text(field, number, value, row, detail)
    place = f"o{number}[{row}]"
    kind = f"{value} != 0" if field.dtype == "bool" else f"{scalar_type(field.dtype)}({value})"
    if not types.may_leave(field.dtype):
        return [f"{place} = {kind}"]
    return [
        f"if {leaves(value, field.dtype)}:",
        "    state[0] = at[2]",
        f"    return g, {OUT_OF_RANGE}, {detail}",
        f"{place} = {kind}",
    ]


def _stored_text(field: Field, number: int, value: str, row: str, detail: str) -> list[str]:
    """Returns what copies a text out; a group that stops for want of room is called again as a whole."""
    name, stop = f"t{number}", f"stop{number}"
    lines = [f"{name} = returned_text({value})"]
    if field.dtype == "string":
        lines += [f"if not is_utf8({name}):", "    state[0] = at[2]", f"    return g, {NOT_UTF8}, {detail}"]
    lines += [f"{stop} = put_text({name}, room_of(z{number}), o{number}[{row}])"]
    lines += [f"if {stop} < 0:", "    state[0] = at[2]", f"    return g, {FULL}, {number}"]
    return [*lines, f"o{number}[{row} + 1] = {stop}"]
