"""Driver sources for kernels over groups: one loop over groups, each a view of arrays that stand in group order.

The contract is that of all drivers: flat arrays in, `(next group, status, detail)` out, nothing allocated. The loop
stops with FULL before a group whose rows may not fit the output arrays; the caller empties them and calls again, with
more room where they were empty already. Texts that a kernel writes are kept by address, so that it may write them in
any order, and copied out when it is done with its group.
"""

from __future__ import annotations

import hashlib

from checkrow.compile.driver import FULL, Driver
from checkrow.compile.emit import NOT_UTF8, OUT_OF_RANGE, scalar_type
from checkrow.expressions import types
from checkrow.expressions.nodes import KernelCall, KernelSpec, Node
from checkrow.expressions.types import Field
from checkrow.kernels.group import EXPAND, MAP, REDUCE
from checkrow.kernels.signature import OUT, validity_of

WRONG_ROWS = 5
"""The kernel said it wrote fewer than no rows, or more than it had room for."""
WRONG_LENGTH = 6
"""A returned array is not as long as the group."""
_ROOM = {
    REDUCE: "1",
    MAP: "b - a",
    EXPAND: "limit if limit > 0 else b - a",
}


def group_driver(call: KernelCall) -> Driver:
    """Returns the driver that calls a kernel for a range of groups.

    Its arguments are: first and last group, `at`, `starts` of all groups, per kernel argument an array in group order
    (values, or the validity of a column; of text where each starts, where it stops, and the bytes), the parameters,
    `limit` (most rows a group may give, 0: as many as it has), `capacity` of the outputs, `state` (one int64: rows
    written), `group_of` (int32: group of each row written), the outputs: an array each; of text offsets, bytes, and two
    int64 arrays with the address and length of what the kernel wrote.
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
        *_written(spec, writes=writes),
        f"r = k0({', '.join(_arguments(spec, arrays, inputs))})",
        *_results(spec, writes=writes),
        "for i in range(n, n + m):",
        "    group_of[i] = g",
        "n += m",
    ]
    head = ["first", "last", "at", "starts"]
    for j, name in enumerate(arrays):
        head += [f"c{j}", f"e{j}", f"x{j}"] if _is_text(name, spec, inputs) else [f"c{j}"]
    head += [f"q{j}" for j in range(len(call.parameters))]
    head += ["limit", "capacity", "state", "group_of"]
    for j, field in enumerate(spec.returns):
        head += [f"o{j}", f"z{j}", f"y{j}", f"l{j}"] if types.is_text(field.dtype) else [f"o{j}"]
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


def array_arguments(spec: KernelSpec) -> tuple[tuple[str, bool], ...]:
    """Returns per array argument the column it reads and whether it is that column's validity."""
    arrays = [a for a in spec.arguments if a != OUT]
    return tuple((a, False) if a in spec.columns else (validity_of(a), True) for a in arrays)


def _is_text(name: str, spec: KernelSpec, inputs: tuple[Node, ...]) -> bool:
    return name in spec.columns and types.is_text(inputs[spec.columns.index(name)].dtype)


def _arguments(spec: KernelSpec, arrays: list[str], inputs: tuple[Node, ...]) -> list[str]:
    given = []
    for name in spec.arguments:
        j = arrays.index(name) if name != OUT else 0
        if name == OUT:
            given.append("w")
        elif _is_text(name, spec, inputs):
            given.append(f"texts_at(c{j}, e{j}, x{j}, a, b)")
        else:
            given.append(f"c{j}[a:b]")
    return [*given, *(f"q{j}" for j in range(len(spec.parameters)))]


def _written(spec: KernelSpec, *, writes: bool) -> list[str]:
    """Returns the statement that makes what a kernel writes to."""
    views = [
        f"slots_at(y{j}, l{j}, n, n + m)" if types.is_text(f.dtype) else f"o{j}[n:n + m]"
        for j, f in enumerate(spec.returns)
    ]
    return [f"w = Out({', '.join(views)})"] if writes else []


def _text_row(number: int, field: Field, value: str, row: str) -> list[str]:
    """Returns the statements that copy out a text; a group that stops here is called again as a whole."""
    name, stop = f"t{number}", f"stop{number}"
    lines = [f"{name} = returned_text({value})"]
    if field.dtype == "string":
        lines += [f"if not is_utf8({name}):", "    state[0] = n", f"    return g, {NOT_UTF8}, {number}"]
    lines += [f"{stop} = put_text({name}, room_of(z{number}), o{number}[{row}])"]
    lines += [f"if {stop} < 0:", "    state[0] = n", f"    return g, {FULL}, {number}"]
    return [*lines, f"o{number}[{row} + 1] = {stop}"]


def _text_rows(number: int, field: Field, values: str) -> list[str]:
    return ["for i in range(m):", *(f"    {line}" for line in _text_row(number, field, f"{values}[i]", "n + i"))]


def _results(spec: KernelSpec, *, writes: bool) -> list[str]:
    texts = [(j, f) for j, f in enumerate(spec.returns) if types.is_text(f.dtype)] if writes else []
    copied = [line for j, f in texts for line in _text_rows(j, f, f"w[{j}]")]
    if spec.shape == EXPAND:
        return ["if r < 0 or r > m:", "    state[0] = n", f"    return g, {WRONG_ROWS}, np.int64(r)", "m = np.int64(r)",
                *copied]  # fmt: skip
    if writes:
        return copied
    single = len(spec.returns) == 1
    lines: list[str] = []
    for j, field in enumerate(spec.returns):
        value = "r" if single else f"r[{j}]"
        if spec.shape == MAP:
            lines += [f"if len({value}) != m:", "    state[0] = n", f"    return g, {WRONG_LENGTH}, {j}"]
            numbers = ["for i in range(m):", f"    o{j}[n + i] = {value}[i]"]
            lines += _text_rows(j, field, value) if types.is_text(field.dtype) else numbers
            continue
        if types.is_text(field.dtype):
            lines += _text_row(j, field, value, "n")
            continue
        if types.may_leave(field.dtype):
            low, high = types.integer_range(field.dtype)
            lines += [f"if {value} < {low} or {value} > {high}:", "    state[0] = n"]
            lines += [f"    return g, {OUT_OF_RANGE}, {j}"]
        lines.append(
            f"o{j}[n] = {value} != 0" if field.dtype == "bool" else f"o{j}[n] = {scalar_type(field.dtype)}({value})"
        )
    return lines
